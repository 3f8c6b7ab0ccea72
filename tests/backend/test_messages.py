"""Sentences in both languages."""

from typing import get_args

import pytest

from backend import errors, messages
from backend.messages import Language, error_message, negotiate, step_message
from holdcheck.pipeline import Step

STATISTICS = {"total_problems": 2, "holds_kept": 12}
DATA = {
    "position": 3,
    "holds_count": 63,
    "holds_kept": 40,
    "truncated": True,
    "done": 4,
    "total": 40,
    "problems_count": 5,
    "hold_data": [{}] * 40,
    "problems": [{}] * 5,
    "result": {"statistics": STATISTICS},
}
_ONLY_AN_HTTP_ERROR = (
    errors.Unavailable,
    errors.AuthError,
    errors.HostNotTrusted,
    errors.OriginNotAllowed,
    errors.RateLimited,
    errors.JobNotFound,
    errors.LastEventIdInvalid,
    errors.JobNotDone,
    errors.CorrectionsNotFound,
    errors.CorrectionsInvalid,
    errors.CorrectionsTooManyBytes,
)
STEPS = ("queued", "upload", "retry", *get_args(Step))


@pytest.mark.parametrize("language", get_args(Language))
@pytest.mark.parametrize("step", STEPS)
def test_every_step_has_a_sentence_in_every_language(step: str, language: Language) -> None:
    sentence = step_message(step, language, DATA)
    assert sentence
    assert any("가" <= letter <= "힣" for letter in sentence) == (language == "ko")


def test_no_sentence_is_left_over() -> None:
    for sentences in messages._STEPS.values():
        assert sentences.keys() == set(STEPS)


@pytest.mark.parametrize(
    ("step", "data", "sentence"),
    [
        ("detection_complete", {"holds_count": 1, "holds_kept": 1, "truncated": False}, "Found 1 hold"),
        (
            "detection_complete",
            {"holds_count": 63, "holds_kept": 40, "truncated": True},
            "Found 63 holds; the 40 largest are analysed",
        ),
        ("queued", {"position": 0}, "It is your photo's turn"),
        ("queued", {"position": 1}, "Waiting: 1 photo ahead of yours"),
        ("clustering_complete", {"problems_count": 0}, "Grouped into 0 problems"),
    ],
)
def test_english_counts(step: str, data: dict[str, object], sentence: str) -> None:
    assert step_message(step, "en", data) == sentence


@pytest.mark.parametrize(
    "code",
    sorted(
        error.code
        for error in errors.STATUS
        if not issubclass(error, (errors.UploadError, *_ONLY_AN_HTTP_ERROR))
        or issubclass(error, errors.Unavailable)
    ),
)
def test_every_error_that_a_stream_can_end_with_has_a_korean_sentence(code: str) -> None:
    assert code in messages._KOREAN_ERRORS


def test_english_errors_keep_their_detail() -> None:
    assert error_message("photo_corrupt", "en", "The photo is damaged.") == "The photo is damaged."


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, "en"),
        ("", "en"),
        ("ko", "ko"),
        ("KO-kr", "ko"),
        ("en, ko", "en"),
        ("ko, en", "ko"),
        ("en;q=0.8, ko;q=0.9", "ko"),
        ("ko;q=0.1, *;q=0.5", "en"),
        ("ko;q=0", "en"),
        ("de, fr;q=0.9, ko;q=0.1", "ko"),  # the only one we speak
        ("ko;q=nonsense", "en"),
        ("ko;q=7", "en"),
        (";;,,=", "en"),
        ("korean", "en"),  # no such tag
    ],
)
def test_negotiation_obeys_weights(header: str | None, language: Language) -> None:
    assert negotiate(header) == language
