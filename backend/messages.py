"""The sentences of the stream, in English and Korean. Every other field is language-free."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

Language = Literal["en", "ko"]
DEFAULT_LANGUAGE: Language = "en"
_Sentence = Callable[[Mapping[str, Any]], str]


def step_message(step: str, language: Language, data: Mapping[str, Any]) -> str:
    """What a step says to a person; `data` is what it adds to its event."""
    return _STEPS[language][step](data)


def error_message(code: str, language: Language, detail: str) -> str:
    """What a failure says to a person: in English its own detail, which names sizes and limits."""
    if language == "en":
        return detail
    return _KOREAN_ERRORS.get(code, _KOREAN_ERRORS["internal_error"])


def negotiate(accept_language: str | None) -> Language:
    """Choose by an Accept-Language header (RFC 9110, section 12.5.4): the highest weight, then the first."""
    best, best_weight = DEFAULT_LANGUAGE, 0.0
    for item in (accept_language or "").split(","):
        tag, _, parameters = item.strip().partition(";")
        language, weight = _language(tag), _weight(parameters)
        if language is not None and weight > best_weight:
            best, best_weight = language, weight
    return best


def _language(tag: str) -> Language | None:
    primary = tag.strip().lower().partition("-")[0]
    if primary == "*":
        return DEFAULT_LANGUAGE
    return next((language for language in get_args(Language) if language == primary), None)


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        weight = float(value)
    except ValueError:
        return 0.0
    return weight if 0.0 <= weight <= 1.0 else 0.0


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _english_found(data: Mapping[str, Any]) -> str:
    found = f"Found {_count(data['holds_count'], 'hold')}"
    return f"{found}; the {data['holds_kept']} largest are analysed" if data["truncated"] else found


def _korean_found(data: Mapping[str, Any]) -> str:
    found = f"홀드 {data['holds_count']}개를 찾았습니다"
    return f"{found}. 가장 큰 {data['holds_kept']}개를 분석합니다" if data["truncated"] else found


def _english_queued(data: Mapping[str, Any]) -> str:
    ahead = data["position"]
    return f"Waiting: {_count(ahead, 'photo')} ahead of yours" if ahead else "It is your photo's turn"


def _korean_queued(data: Mapping[str, Any]) -> str:
    ahead = data["position"]
    return f"대기 중입니다. 앞에 사진 {ahead}장이 있습니다" if ahead else "이제 분석할 차례입니다"


def _english_complete(data: Mapping[str, Any]) -> str:
    statistics = data["result"]["statistics"]
    problems, holds = (
        _count(statistics["total_problems"], "problem"),
        _count(statistics["holds_kept"], "hold"),
    )
    return f"Done: {problems} on {holds}"


def _korean_complete(data: Mapping[str, Any]) -> str:
    statistics = data["result"]["statistics"]
    return f"완료: 홀드 {statistics['holds_kept']}개, 문제 {statistics['total_problems']}개"


_STEPS: dict[Language, dict[str, _Sentence]] = {
    "en": {
        "queued": _english_queued,
        "upload": lambda _: "The photo has arrived",
        "retry": lambda _: "A server of the cluster failed: the analysis begins again on another",
        "detection": lambda _: "Looking for holds",
        "detection_complete": _english_found,
        "clustering": lambda data: f"Naming colours: {data['done']} of {_count(data['total'], 'hold')}",
        "clustering_complete": lambda data: f"Grouped into {_count(data['problems_count'], 'problem')}",
        "analysis": lambda _: "Estimating difficulty and style",
        "analysis_complete": lambda _: "Difficulty and style are estimated",
        "result_stats": lambda _: "The figures are ready",
        "result_holds": lambda data: f"{_count(len(data['hold_data']), 'hold')} ready to draw",
        "result_problems": lambda data: f"{_count(len(data['problems']), 'problem')} ready to climb",
        "complete": _english_complete,
    },
    "ko": {
        "queued": _korean_queued,
        "upload": lambda _: "사진을 받았습니다",
        "retry": lambda _: "서버 한 대에 문제가 생겨 다른 서버에서 분석을 다시 시작합니다",
        "detection": lambda _: "홀드를 찾고 있습니다",
        "detection_complete": _korean_found,
        "clustering": lambda data: f"색상을 판별하고 있습니다: 홀드 {data['total']}개 중 {data['done']}개",
        "clustering_complete": lambda data: f"문제 {data['problems_count']}개로 묶었습니다",
        "analysis": lambda _: "난이도와 유형을 추정하고 있습니다",
        "analysis_complete": lambda _: "난이도와 유형을 추정했습니다",
        "result_stats": lambda _: "통계가 준비되었습니다",
        "result_holds": lambda data: f"홀드 {len(data['hold_data'])}개를 표시할 수 있습니다",
        "result_problems": lambda data: f"문제 {len(data['problems'])}개가 준비되었습니다",
        "complete": _korean_complete,
    },
}

_KOREAN_ERRORS = {
    "internal_error": "서버에서 예상하지 못한 오류가 발생했습니다. 다시 시도해 주세요",
    "invalid_photo": "이 사진은 분석할 수 없습니다",
    "photo_empty": "사진 파일이 비어 있습니다",
    "photo_type_unsupported": "지원하지 않는 파일 형식입니다. JPEG, PNG, WebP, HEIC, AVIF 사진을 보내 주세요",
    "photo_truncated": "사진 파일이 중간에 끊겼습니다. 다시 올려 주세요",
    "photo_too_small": "사진이 너무 작습니다. 가로와 세로가 각각 64픽셀 이상이어야 합니다",
    "photo_corrupt": "사진 파일이 손상되어 열 수 없습니다",
    "photo_too_many_bytes": "사진 파일이 너무 큽니다",
    "photo_too_many_pixels": "사진의 해상도가 너무 높습니다",
    "photo_needs_too_much_memory": "서버 메모리가 부족합니다. 더 작은 사진을 보내 주세요",
    "model_unusable": "모델을 사용할 수 없습니다",
    "model_not_prepared": "모델이 준비되지 않았습니다",
    "model_corrupt": "모델 파일이 손상되었습니다",
    "model_tampered": "서버의 모델 파일이 원본과 다릅니다. 관리자에게 알려 주세요",
    "job_timed_out": "분석이 제한 시간을 넘겨 중단되었습니다",
    "job_crashed": "이 사진을 분석하는 동안 서버가 반복해서 중단되어 더 이상 시도하지 않습니다",
    "cancelled": "분석이 취소되었고 사진과 결과가 삭제되었습니다",
    "memory_short": "서버 메모리가 잠시 부족합니다. 잠시 후 다시 시도해 주세요",
    "queue_full": "대기 중인 사진이 너무 많습니다. 잠시 후 다시 시도해 주세요",
    "not_ready": "지금은 사진을 분석할 수 있는 서버가 없습니다. 잠시 후 다시 시도해 주세요",
    "unavailable": "지금은 사진을 분석할 수 없습니다. 잠시 후 다시 시도해 주세요",
    "storage_full": "서버의 저장 공간이 가득 찼습니다. 나중에 다시 시도해 주세요",
    "storage_unavailable": "서버가 지금 결과를 저장할 수 없습니다. 나중에 다시 시도해 주세요",
    "shutting_down": "서버가 종료되고 있습니다. 다시 시작되면 분석이 이어집니다",
}
