"""What /docs says: an example of every answer and of every error, from the same table that makes them."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from backend import errors
from backend.access import WORK_PATHS, needs_key
from backend.errors import MEDIA_TYPE, Problem
from backend.settings import ServiceSettings
from holdcheck import errors as vision
from holdcheck.errors import HoldcheckError

_Json = dict[str, Any]

DESCRIPTION = """Finds, colours and groups the holds on a photo of a climbing wall.

Every error is `application/problem+json` (RFC 9457) with a stable `code`. Every answer carries an
`X-Request-ID`, yours where you send one: it leads to the request's lines in the log. An unknown path is
404 `not_found`, a method that a path does not take 405 `method_not_allowed`. HEAD goes wherever GET does.

Where the server has keys (`key_required` in `/api/health`), all of `/api/` but `/api/health` wants one,
and any path that is not there, as `Authorization: Bearer KEY` or `X-API-Key: KEY`: else 401
`api_key_missing` or `api_key_invalid`. Jobs are found only with the key that made them. Too much from one
client is 429 `rate_limited`, with `Retry-After`. A Host that the server does not go by is 400
`host_not_trusted`, a refused preflight 400 `origin_not_allowed`.

Nothing invented looks real: `degraded` says that a lesser part stood in for a missing one, `is_dummy` that
a model has no real weights, so that the answer means nothing. `error_reason` says why in both cases."""

STREAM_DESCRIPTION = """Answers `text/event-stream`: each event has an `id:` and one line of JSON in
`data:`, with `job_id seq step progress message elapsed_ms memory` and what its step adds.

Steps in order: `queued` (`position`: analyses ahead of yours; repeated while waiting), `upload`,
`detection`, `detection_complete` (`holds_count`, `holds_kept`, `truncated`), `clustering` (`done`, `total`;
per batch), `clustering_complete` (`problems_count`), `analysis`, `analysis_complete`, `result_stats`
(`statistics`), `result_holds` (`hold_data`), `result_problems` (`problems`), `complete` (`result`: the
whole of it). `progress` never falls; 100 comes once, with `complete`. A failure after the stream began is
`error` with `code` and `message`. On a cluster `retry` may come: a machine of it failed, and the steps
begin again on another.

`message` is Korean or English by `Accept-Language`. The analysis is a job: closing the stream does not end
it, and `GET /api/jobs/{job_id}/events` with `Last-Event-ID` goes on where it broke. When the server is
stopped, the stream ends with `error`, code `shutting_down`, whose `id` is that of the event before: resume
once it is back.
`curl -N -F image=@photo.jpg http://localhost:8000/api/analyze-stream`"""

ANALYZE_DESCRIPTION = """The same as `complete` carries in the stream. A client that hangs up does not end
the analysis: with an `Idempotency-Key`, sending the same photo again answers with the same job."""

CORRECTIONS_DESCRIPTION = """All that a climber put right, relative to the result: the latest replaces the
one before, so that sending it again does no harm. A hold that is not named is as the result has it.

It is kept as long as the result. Only where the owner of the server allows it (`keeps_corrections` in
`/api/health`) and the climber does (`share`), photo, result and corrections are kept for training beyond
that; `DELETE` of the job erases them, then too."""

POST_JOB_DESCRIPTION = """Answers when the photo is safe on the disk: from then on the job ends, whatever
happens to the connection, the process or the power. The same photo with the same `Idempotency-Key`, within
the lifetime of its job, answers with that job; another photo with it is 422.

The photo is deleted when the analysis ends; the result and the events are kept for JOB_TTL_S."""

EVENTS_DESCRIPTION = """The events of `POST /api/analyze-stream`, those that were and then those that come:
all of them, or with `Last-Event-ID` those after it, none missing and none twice. A comment every 15 seconds
keeps the line open.

204 where the job has ended and nothing is left to tell. After a restart of the server the steps begin
again, under higher numbers; `progress` does not fall."""

DELETE_DESCRIPTION = """A queued job is cancelled at once, a running one at its next batch; `status` is
`cancelled` from now on, and open streams end with `error`, code `cancelled`. A job that has ended is gone:
404 from now on. What was kept for training from it goes too, also where the job itself has expired."""

TAGS = [
    {"name": "analyze", "description": "A photo in; holds, colours and problems out."},
    {"name": "jobs", "description": "The same apart from the connection: come back, and miss nothing."},
    {"name": "health", "description": "How the service is."},
]

UPLOAD_BODY: _Json = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "required": False,
            "schema": {"type": "string", "maxLength": 257},
            "description": "names this photo's job: sent again, it answers with the same job",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "image": {
                            "type": "string",
                            "format": "binary",
                            "description": "JPEG, PNG, WebP, HEIC or AVIF",
                        },
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "the same under the name that many clients send",
                        },
                        "wall_angle": {"type": "string", "enum": ["slab", "face", "overhang"]},
                    },
                    "oneOf": [{"required": ["image"]}, {"required": ["file"]}],
                }
            }
        },
    },
}

_MEMORY: _Json = {
    "rss_mb": 159.2,
    "peak_mb": 241.0,
    "percent": 62.2,
    "limit_mb": 256.0,
    "available_mb": 96.8,
}
_STATISTICS: _Json = {
    "total_holds": 1,
    "holds_kept": 1,
    "truncated": False,
    "total_problems": 1,
    "analyzable_problems": 0,
}
_JOB_ID = "6f0e3a52-3b0e-4a1c-9a53-2f1f6f6f0b11"

RESULT_EXAMPLE: _Json = {
    "job_id": _JOB_ID,
    "image_width": 3024,
    "image_height": 4032,
    "statistics": _STATISTICS,
    "hold_data": [
        {
            "id": 1,
            "center": [1510.2, 2210.7],
            "area": 18234.0,
            "bbox": [1440.0, 2140.5, 1580.0, 2281.0],
            "contour": [[1440.0, 2210.0], [1510.0, 2140.5], [1580.0, 2210.0], [1510.0, 2281.0]],
            "score": 0.91,
            "kind": "hold",
            "color": "yellow",
            "individual_color": "yellow",
            "color_scores": {"yellow": 0.93, "lime": 0.04, "orange": 0.02},
            "rgb": [231, 197, 41],
            "hsv": [49.3, 82.3, 90.6],
            "lab": [80.4, 1.2, 74.6],
            "tag": None,
        }
    ],
    "problems": [
        {
            "id": 1,
            "color_name": "yellow",
            "color_rgb": [231, 197, 41],
            "hold_count": 1,
            "holds": [1],
            "difficulty": None,
            "climb_type": None,
            "start_ids": [],
            "top_ids": [],
            "start_estimated": False,
            "top_estimated": False,
        }
    ],
    "component_status": {"yolo": True, "clip": True},
    "is_dummy": False,
    "degraded": False,
    "error_reason": None,
    "timings_ms": {"decode": 61.0, "detection": 118.4, "clip": 1420.9},
    "memory": _MEMORY,
}

ACCEPTED_EXAMPLE: _Json = {"job_id": _JOB_ID, "status": "queued"}

JOB_EXAMPLE: _Json = {
    "job_id": _JOB_ID,
    "status": "done",
    "created_at": "2026-11-21T08:20:01.123+00:00",
    "position": None,
    "result": RESULT_EXAMPLE,
    "error": None,
}

CORRECTIONS_EXAMPLE: _Json = {
    "holds": [{"id": 1, "color": "lime", "kind": None, "problem": None, "deleted": False}],
    "added": [
        {
            "contour": [[900.0, 800.0], [960.0, 800.0], [930.0, 850.0]],
            "color": "yellow",
            "kind": "hold",
            "problem": 1,
        }
    ],
    "problems": [{"id": 1, "start": ["a0"], "top": [1]}],
    "share": True,
}

HEALTH_EXAMPLE: _Json = {
    "status": "ok",
    "version": "0.1.0",
    "component_status": {"yolo": True, "clip": True},
    "models": [
        {
            "name": "holds-yolo11n-seg",
            "source": "bundled",
            "precision": "fp32",
            "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "is_dummy": False,
        }
    ],
    "device": {"kind": "cpu", "reason": "RUNTIME=onnx knows nothing else"},
    "memory": _MEMORY,
    "is_dummy": False,
    "error_reason": None,
    "queue": {"running": 0, "waiting": 0},
    "ready": True,
    "uptime_s": 86400.0,
    "timings_ms": {"decode": 61.0, "detection": 118.4, "clip": 1420.9},
    "keeps_corrections": False,
    "key_required": False,
}

_SCHEMES: _Json = {
    "Bearer": {"type": "http", "scheme": "bearer", "description": "one of the server's API_KEYS"},
    "ApiKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "the same, in a header of its own",
    },
}

METRICS_EXAMPLE = """# HELP holdcheck_ready 1 while /readyz says so
# TYPE holdcheck_ready gauge
holdcheck_ready 1.0
# HELP holdcheck_jobs Jobs that are kept, by status
# TYPE holdcheck_jobs gauge
holdcheck_jobs{status="queued"} 2.0
holdcheck_jobs{status="running"} 1.0
"""

_DETAILS: dict[type[HoldcheckError], str] = {
    vision.PhotoError: "The photo cannot be analysed.",
    vision.EmptyPhoto: "The photo has no bytes: choose it again and resend it.",
    vision.UnsupportedPhoto: "The file is not a photo of an accepted type: JPEG, PNG, WebP, HEIC or AVIF.",
    vision.TruncatedPhoto: "The file ends before its picture does: upload it again.",
    vision.CorruptPhoto: "The photo is damaged and cannot be decoded.",
    vision.PhotoTooSmall: "The photo has 40 x 30 pixels; at least 64 on each side are needed.",
    vision.PhotoTooManyBytes: "The file is larger than 20 MiB (MAX_UPLOAD_MB): send a smaller photo.",
    vision.PhotoTooManyPixels: "The photo has 200.0 megapixels; at most 120 are accepted.",
    vision.PhotoNeedsTooMuchMemory: "Decoding the photo needs more memory than the server has left.",
    errors.ApiKeyMissing: "This server is used with a key.",
    errors.ApiKeyInvalid: "This is none of the server's keys.",
    errors.RateLimited: "You send photos faster than this server lets you (RATE_LIMIT). Try again in 2 s.",
    errors.NotMultipart: "Send multipart/form-data with the photo in the field `image` (or `file`).",
    errors.MalformedUpload: "The multipart body ends before its last boundary: upload it again.",
    errors.PhotoMissing: "There is no photo in the upload.",
    errors.UnknownWallAngle: "wall_angle takes slab, face, overhang; leave it out if unknown.",
    errors.UploadTimedOut: "The upload stopped, or is too slow: send it again.",
    errors.NotReady: "The models are loading: try again in a moment.",
    errors.QueueFull: "8 photos are waiting already: try again in about 30 s.",
    errors.MemoryShort: "The server is short of memory: try again in a moment.",
    errors.ShuttingDown: "The server is shutting down: try again in a moment.",
    errors.StorageFull: "The server's disk is full: try again later.",
    errors.StorageUnavailable: "The server's disk cannot be used now: try again later.",
    errors.IdempotencyKeyInvalid: "Idempotency-Key takes 1 to 255 visible ASCII characters, such as a UUID.",
    errors.IdempotencyKeyReused: "This Idempotency-Key came with another photo or wall_angle.",
    errors.JobNotFound: "There is no such job: it never was, has expired, or was deleted.",
    errors.JobCancelled: "The analysis was cancelled, and its photo and results are erased.",
    errors.JobCrashed: "The server died 2 times during this analysis; it is not tried again.",
    errors.LastEventIdInvalid: "Last-Event-ID takes the `id` of an event of this job.",
    errors.JobNotDone: "The job is running: only the result of one that is done can be corrected.",
    errors.CorrectionsNotFound: "There are no corrections of this job.",
    errors.CorrectionsInvalid: "holds.0.id: takes the id of a hold of this result, 1 to 40",
    errors.CorrectionsTooManyBytes: "The corrections are larger than 256 KiB: draw with fewer points.",
    errors.JobTimedOut: "The analysis took longer than 120 s and was ended.",
    HoldcheckError: errors.INTERNAL_DETAIL,
}
_UPLOAD_ERRORS = (
    vision.EmptyPhoto,
    vision.TruncatedPhoto,
    vision.CorruptPhoto,
    vision.PhotoTooSmall,
    errors.MalformedUpload,
    vision.PhotoTooManyBytes,
    vision.PhotoTooManyPixels,
    vision.PhotoNeedsTooMuchMemory,
    vision.UnsupportedPhoto,
    errors.NotMultipart,
    errors.PhotoMissing,
    errors.UnknownWallAngle,
    errors.UploadTimedOut,
    errors.IdempotencyKeyInvalid,
    errors.IdempotencyKeyReused,
    errors.NotReady,
    errors.QueueFull,
    errors.MemoryShort,
    errors.ShuttingDown,
    errors.StorageFull,
    errors.StorageUnavailable,
)


def problems(*classes: type[HoldcheckError]) -> dict[int | str, _Json]:
    """The `responses` of a route that can raise these; 500 is always among them."""
    responses: dict[int | str, _Json] = {}
    listed: tuple[type[HoldcheckError], ...] = (*classes, HoldcheckError)
    for error in listed:
        status, title = errors.row(error)
        response = responses.setdefault(status, {"description": title, "content": {MEDIA_TYPE: _media()}})
        response["content"][MEDIA_TYPE]["examples"][error.code] = {
            "summary": title,
            "value": _example(error, status, title),
        }
    for response in responses.values():
        titles = [example["summary"] for example in response["content"][MEDIA_TYPE]["examples"].values()]
        response["description"] = "; ".join(titles)
    return responses


def job_problems(*classes: type[HoldcheckError]) -> dict[int | str, _Json]:
    """The `responses` of a route that looks for a job: the store may not be there for it."""
    return problems(errors.JobNotFound, *classes, errors.StorageUnavailable)


def analyze_responses() -> dict[int | str, _Json]:
    answer = {"description": "The result", "content": {"application/json": {"example": RESULT_EXAMPLE}}}
    return {
        200: answer,
        **problems(*_UPLOAD_ERRORS, errors.JobTimedOut, errors.JobCancelled, errors.JobCrashed),
    }


def stream_responses() -> dict[int | str, _Json]:
    return {200: _events(), **problems(*_UPLOAD_ERRORS)}


def post_job_responses() -> dict[int | str, _Json]:
    return problems(*_UPLOAD_ERRORS)


def events_responses() -> dict[int | str, _Json]:
    rest: dict[int | str, _Json] = {204: {"description": "The job has ended, and everything is told"}}
    return {
        200: _events(),
        **rest,
        **job_problems(errors.JobCancelled, errors.LastEventIdInvalid),
    }


CORRECTIONS_BODY: _Json = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/Corrections"},
                "example": CORRECTIONS_EXAMPLE,
            }
        },
    },
}


def corrections_responses() -> dict[int | str, _Json]:
    """Of what answers with the stored corrections."""
    return {
        200: {
            "description": "As they are stored",
            "content": {"application/json": {"example": CORRECTIONS_EXAMPLE}},
        }
    }


def post_corrections_responses() -> dict[int | str, _Json]:
    return {
        **corrections_responses(),
        **problems(
            errors.JobNotFound,
            errors.JobNotDone,
            errors.CorrectionsInvalid,
            errors.CorrectionsTooManyBytes,
            errors.UploadTimedOut,
            errors.QueueFull,
            errors.StorageFull,
            errors.StorageUnavailable,
        ),
    }


def _events() -> _Json:
    return {"description": "The events", "content": {"text/event-stream": {"example": _stream_example()}}}


def install(app: FastAPI, settings: ServiceSettings) -> None:
    """Add the schema of problem details, to which every error above refers (`Problem` is a boulder problem),
    and who may do what."""

    def describe() -> _Json:
        if app.openapi_schema is None:
            app.openapi_schema = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=app.openapi_tags,
            )
            app.openapi_schema.setdefault("components", {}).setdefault("schemas", {})["ProblemDetails"] = (
                Problem.model_json_schema()
            )
            _drop_validation_errors(app.openapi_schema)
            _drop_stream_schemas(app.openapi_schema)
            _describe_access(app.openapi_schema, settings)
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _describe_access(schema: _Json, settings: ServiceSettings) -> None:
    """A server without keys takes no notice of one, and one that is given does no harm."""
    has_keys = bool(settings.keys)
    schema["components"]["securitySchemes"] = _SCHEMES
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            refusals: list[type[HoldcheckError]] = []
            if needs_key(path):
                operation["security"] = [*([] if has_keys else [{}]), *({name: []} for name in _SCHEMES)]
                refusals += (
                    [errors.ApiKeyMissing, errors.ApiKeyInvalid, errors.RateLimited] if has_keys else []
                )
            if settings.rate_limit and method == "post" and path in WORK_PATHS:
                refusals.append(errors.RateLimited)
            responses = problems(*refusals) if refusals else {}
            operation["responses"] |= {
                str(status): responses[status]
                for status in responses
                if str(status) not in operation["responses"]
            }


def _drop_validation_errors(schema: _Json) -> None:
    """Parameters here are strings that the routes themselves look at: FastAPI's own 422 never comes."""
    for path in schema["paths"].values():
        for operation in path.values():
            responses = operation["responses"]
            if "HTTPValidationError" in str(
                responses.get("422", {}).get("content", {}).get("application/json")
            ):
                del responses["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        schema["components"]["schemas"].pop(name, None)


def _drop_stream_schemas(schema: _Json) -> None:
    """FastAPI says that a stream is a string; tools then expect that each event is one."""
    for path in schema["paths"].values():
        for operation in path.values():
            for response in operation["responses"].values():
                response.get("content", {}).get("text/event-stream", {}).pop("schema", None)


def _media() -> _Json:
    return {"schema": {"$ref": "#/components/schemas/ProblemDetails"}, "examples": {}}


def _example(error: type[HoldcheckError], status: int, title: str) -> _Json:
    return Problem(
        type=f"urn:holdcheck:problem:{error.code}",
        title=title,
        status=status,
        detail=_DETAILS[error],
        code=error.code,
        instance="urn:holdcheck:request:1f0c5a4e9b7d4c5f8a2e6d3b0c9f7e1a",
    ).model_dump()


def _stream_example() -> str:
    return _sse(1, "queued", 0, "It is your photo's turn", 0, {"position": 0}) + _sse(
        4,
        "detection_complete",
        30,
        "Found 1 hold",
        214,
        {"holds_count": 1, "holds_kept": 1, "truncated": False},
    )


def _sse(seq: int, step: str, progress: int, message: str, elapsed_ms: int, data: _Json) -> str:
    event = {
        "job_id": _JOB_ID,
        "seq": seq,
        "step": step,
        "progress": progress,
        "message": message,
        "elapsed_ms": elapsed_ms,
        "memory": _MEMORY,
    }
    return f"id: {seq}\ndata: {json.dumps(event | data, separators=(',', ':'))}\n\n"
