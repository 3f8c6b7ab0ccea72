"""What a failure looks like over HTTP: RFC 9457 problem details. Every status is decided here.

HoldcheckError (holdcheck.errors)
 `-- ServiceError
      |-- HostNotTrusted          the Host header names none of TRUSTED_HOSTS
      |-- OriginNotAllowed        a preflight for what CORS_ORIGINS, or a route, does not take
      |-- AuthError               401, with the challenge that HTTP wants
      |    |-- ApiKeyMissing      no key came with the request
      |    `-- ApiKeyInvalid      it is none of API_KEYS
      |-- RateLimited             too much from one client; Retry-After says when it may again
      |-- UploadError             the request is not an upload that can be read
      |    |-- NotMultipart       the body is something else than multipart/form-data
      |    |-- MalformedUpload    the multipart body cannot be parsed
      |    |-- PhotoMissing       no photo in it
      |    |-- UnknownWallAngle   wall_angle is none of the known ones
      |    |-- IdempotencyKeyInvalid  the header holds no key
      |    |-- IdempotencyKeyReused   the key came before, with another photo
      |    `-- UploadTimedOut     the body stopped coming, or came too slowly
      |-- JobError                of one job
      |    |-- JobNotFound        no such job, not any more, or not yours
      |    |-- JobCancelled       its owner deleted it before it ended
      |    |-- JobCrashed         the process died of it, twice
      |    |-- JobTimedOut        the analysis took longer than JOB_TIMEOUT_S
      |    |-- LastEventIdInvalid no number of an event
      |    |-- JobNotDone         it has no result that could be corrected
      |    |-- CorrectionsNotFound nobody has corrected it
      |    |-- CorrectionsInvalid they do not fit its result
      |    `-- CorrectionsTooManyBytes more than corrections can be
      `-- Unavailable             not now; Retry-After says when
           |-- NotReady           the models are not loaded
           |-- QueueFull          as many as MAX_QUEUE are waiting, or arriving
           |-- MemoryShort        something else has taken the memory that an analysis needs
           |-- ShuttingDown       the server is about to end
           |-- StorageFull        no room on the disk
           `-- StorageUnavailable the disk, or the store on it, cannot be used for another reason
"""

import math
from collections.abc import Mapping
from http import HTTPStatus

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from holdcheck import errors
from holdcheck.errors import HoldcheckError

MEDIA_TYPE = "application/problem+json"
INTERNAL_DETAIL = "Something went wrong on our side; the request's id leads to it in the log."


class ServiceError(HoldcheckError):
    code = "service_error"

    @property
    def headers(self) -> dict[str, str]:
        """What the answer carries beside the problem."""
        return {}


class HostNotTrusted(ServiceError):
    code = "host_not_trusted"


class OriginNotAllowed(ServiceError):
    code = "origin_not_allowed"


class AuthError(ServiceError):
    code = "unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer realm="holdcheck"'}


class ApiKeyMissing(AuthError):
    code = "api_key_missing"


class ApiKeyInvalid(AuthError):
    code = "api_key_invalid"


class RateLimited(ServiceError):
    code = "rate_limited"

    def __init__(self, detail: str, wait_s: float = 1) -> None:
        # Rounded up: who comes back after so many whole seconds is let in.
        self.retry_after_s = max(1, math.ceil(wait_s))
        super().__init__(f"{detail} Try again in {self.retry_after_s} s.")

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class UploadError(ServiceError):
    code = "upload_invalid"


class NotMultipart(UploadError):
    code = "content_type_unsupported"


class MalformedUpload(UploadError):
    code = "upload_malformed"


class PhotoMissing(UploadError):
    code = "photo_missing"


class UnknownWallAngle(UploadError):
    code = "wall_angle_unknown"


class UploadTimedOut(UploadError):
    code = "upload_timed_out"


class IdempotencyKeyInvalid(UploadError):
    code = "idempotency_key_invalid"


class IdempotencyKeyReused(UploadError):
    code = "idempotency_key_reused"


class JobError(ServiceError):
    code = "job_error"


class JobNotFound(JobError):
    code = "job_not_found"


class JobCancelled(JobError):
    code = "cancelled"


class JobCrashed(JobError):
    code = "job_crashed"


class JobTimedOut(JobError):
    code = "job_timed_out"

    @staticmethod
    def after(limit_s: float) -> str:
        """What to say of it."""
        return f"The analysis took longer than {limit_s:g} s and was ended."


class LastEventIdInvalid(JobError):
    code = "last_event_id_invalid"

    def __init__(self, detail: str = "Last-Event-ID takes the `id` of an event of this job.") -> None:
        super().__init__(detail)


class JobNotDone(JobError):
    code = "job_not_done"


class CorrectionsNotFound(JobError):
    code = "corrections_not_found"


class CorrectionsInvalid(JobError):
    code = "corrections_invalid"


class CorrectionsTooManyBytes(JobError):
    code = "corrections_too_many_bytes"


class Unavailable(ServiceError):
    code = "unavailable"

    def __init__(self, detail: str, retry_after_s: int = 5) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after_s)}


class NotReady(Unavailable):
    code = "not_ready"


class QueueFull(Unavailable):
    code = "queue_full"


class MemoryShort(Unavailable):
    code = "memory_short"


class ShuttingDown(Unavailable):
    code = "shutting_down"


class StorageFull(Unavailable):
    code = "storage_full"


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"


STATUS: dict[type[HoldcheckError], tuple[int, str]] = {
    HoldcheckError: (500, "Internal error"),
    errors.PhotoError: (400, "The photo cannot be analysed"),
    errors.EmptyPhoto: (400, "The photo is empty"),
    errors.UnsupportedPhoto: (415, "The file's type is not supported"),
    errors.TruncatedPhoto: (400, "The photo is cut short"),
    errors.CorruptPhoto: (400, "The photo is damaged"),
    errors.PhotoTooSmall: (400, "The photo is too small"),
    errors.PhotoTooManyBytes: (413, "The file is too large"),
    errors.PhotoTooManyPixels: (413, "The photo has too many pixels"),
    errors.PhotoNeedsTooMuchMemory: (413, "The photo needs too much memory"),
    errors.ModelError: (503, "A model cannot be used"),
    errors.ModelNotPrepared: (503, "A model is not prepared"),
    errors.ModelCorrupt: (503, "A model is damaged"),
    errors.ModelTampered: (503, "A model is not what it should be"),
    HostNotTrusted: (400, "The server is not called so"),
    OriginNotAllowed: (400, "The page may not ask so"),
    AuthError: (401, "A key is needed"),
    ApiKeyMissing: (401, "The key is missing"),
    ApiKeyInvalid: (401, "The key is not valid"),
    RateLimited: (429, "Too many requests"),
    UploadError: (400, "The upload cannot be read"),
    NotMultipart: (415, "The body is not multipart/form-data"),
    MalformedUpload: (400, "The multipart body is malformed"),
    PhotoMissing: (422, "The photo is missing"),
    UnknownWallAngle: (422, "wall_angle is unknown"),
    UploadTimedOut: (408, "The upload took too long"),
    IdempotencyKeyInvalid: (400, "The Idempotency-Key is invalid"),
    IdempotencyKeyReused: (422, "The Idempotency-Key was used for another photo"),
    JobNotFound: (404, "There is no such job"),
    JobCancelled: (410, "The job was cancelled"),
    JobCrashed: (500, "The analysis failed repeatedly"),
    LastEventIdInvalid: (400, "The Last-Event-ID is invalid"),
    JobNotDone: (409, "The job is not done"),
    CorrectionsNotFound: (404, "There are no corrections"),
    CorrectionsInvalid: (422, "The corrections do not fit"),
    CorrectionsTooManyBytes: (413, "The corrections are too large"),
    Unavailable: (503, "Not available now"),
    NotReady: (503, "Not ready"),
    QueueFull: (503, "The queue is full"),
    MemoryShort: (503, "The server is short of memory"),
    ShuttingDown: (503, "Shutting down"),
    StorageFull: (507, "The disk is full"),
    StorageUnavailable: (503, "The disk cannot be used now"),
    JobTimedOut: (503, "The analysis took too long"),
}
"""The one table: status and title of every error; a class without a row has its nearest base's."""

_BY_CODE = {error.code: error for error in STATUS}


class Problem(BaseModel):
    """RFC 9457 problem details, as application/problem+json."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:holdcheck:problem:photo_truncated",
                    "title": "The photo is cut short",
                    "status": 400,
                    "detail": "The file ends before its picture does: upload it again.",
                    "code": "photo_truncated",
                    "instance": "urn:holdcheck:request:1f0c5a4e9b7d4c5f8a2e6d3b0c9f7e1a",
                }
            ]
        }
    )

    type: str = Field(description="URI of this kind of problem")
    title: str = Field(description="this kind of problem in a few words; always the same for a code")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="what was wrong this time, and what is accepted")
    code: str = Field(description="stable, for programs")
    instance: str = Field(description="URI of this occurrence: the request's id, which the log lines carry")


class ProblemResponse(JSONResponse):
    """A Problem on the wire."""

    media_type = MEDIA_TYPE

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.model_dump(), problem.status, headers)
        self.code = problem.code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["problem_code"] = self.code  # whoever sends it, it is counted
        await super().__call__(scope, receive, send)


def row(error: type[HoldcheckError]) -> tuple[int, str]:
    """Status and title of an error's class."""
    return next(STATUS[base] for base in error.__mro__ if base in STATUS)


def is_our_fault(code: str) -> bool:
    """Whether an analysis that ended with this code failed for a reason that is not the client's."""
    status, _ = row(_BY_CODE.get(code, HoldcheckError))
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR


def title_of(code: str) -> str:
    """What kind of problem a code stands for, in English."""
    return row(_BY_CODE.get(code, HoldcheckError))[1]


def respond(error: HoldcheckError, request_id: str) -> ProblemResponse:
    """An error raised on purpose."""
    status, title = row(type(error))
    headers = error.headers if isinstance(error, ServiceError) else None
    return _response(status, title, str(error), error.code, request_id, headers)


def respond_with_code(code: str, detail: str, request_id: str) -> ProblemResponse:
    """An error of which only its code is left, as an `error` event carries it."""
    return respond(_BY_CODE.get(code, HoldcheckError)(detail), request_id)


def respond_with_status(
    status: int, detail: str, request_id: str, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """An error of HTTP itself: no such path, no such method."""
    phrase = HTTPStatus(status).phrase
    return _response(status, phrase, detail, phrase.lower().replace(" ", "_"), request_id, headers)


def respond_internal(request_id: str) -> ProblemResponse:
    """Anything nobody thought of. It says nothing of the inside."""
    status, title = STATUS[HoldcheckError]
    return _response(status, title, INTERNAL_DETAIL, HoldcheckError.code, request_id)


def _response(
    status: int, title: str, detail: str, code: str, request_id: str, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    problem = Problem(
        type=f"urn:holdcheck:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        instance=f"urn:holdcheck:request:{request_id}",
    )
    return ProblemResponse(problem, headers)
