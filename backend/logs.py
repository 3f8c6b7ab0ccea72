"""Log lines, for people or as JSON, each with the id of its request. Never a photo, never a key."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Literal

from holdcheck import memory
from holdcheck.pipeline import StageEvent
from holdcheck.registry import Models, ModelsReport

request_id_var: ContextVar[str] = ContextVar("request_id", default="-")
log = logging.getLogger(__name__)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "request_id"}


def set_up(level: str, log_format: Literal["text", "json"]) -> None:
    """One handler for everything, uvicorn included, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonFormatter() if log_format == "json" else _TextFormatter())
    handler.addFilter(_add_request_id)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # It reports its own start and stop at INFO; ours say more in fewer lines.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("PIL").setLevel(logging.WARNING)
    # They warn of each malformed request and body, and clients could flood the log so; the answer says what
    # was wrong.
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)


def log_stage(job_id: str, stage: StageEvent) -> None:
    """A stage began or ended, with the memory at that moment. Batches only at DEBUG: there are dozens."""
    level = logging.DEBUG if stage.step == "clustering" else logging.INFO
    if not log.isEnabledFor(level):
        return
    counts = {name: value for name, value in stage.data.items() if isinstance(value, int | str)}
    extra = {
        "job_id": job_id,
        "step": stage.step,
        "progress": stage.progress,
        "memory": stage.memory.model_dump(),
    }
    log.log(level, "%s", stage.step, extra=extra | counts)


def log_models(models: Models | ModelsReport | None, took_s: float) -> None:
    """Which models answer, from where, and what they cost."""
    for info in models.infos if models else ():
        dummy = " (no real weights: its answers mean nothing)" if info.is_dummy else ""
        log.info("model %s, %s, from %s%s", info.name, info.precision, info.source, dummy)
    extra = {"memory": memory.snapshot().model_dump()}
    if models is None or not models.ready:
        log.error("not ready: photos are refused until there is a detector", extra=extra)
    else:
        log.info("ready, models loaded in %.2f s", took_s, extra=extra)


def _add_request_id(record: logging.LogRecord) -> bool:
    record.request_id = request_id_var.get()
    return True


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    fields = vars(record).items()
    return {name: value for name, value in fields if name not in _STANDARD and not name.startswith("_")}


class _TextFormatter(logging.Formatter):
    """2026-11-21 08:20:01.123 INFO    [1f0c5a4e] detection_complete  progress=30 rss=159.2MB ..."""

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        request_id = getattr(record, "request_id", "-")[:8]
        fields = " ".join(_readable(name, value) for name, value in _extras(record).items() if name != "step")
        line = f"{moment}.{record.msecs:03.0f} {record.levelname:<7} [{request_id}] {record.getMessage()}"
        line = f"{line}  {fields}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _readable(name: str, value: Any) -> str:
    if name == "memory" and isinstance(value, Mapping):
        return f"rss={value['rss_mb']:.1f}MB peak={value['peak_mb']:.1f}MB limit={value['limit_mb']:.0f}MB"
    return f"{name}={value[:8]}" if name == "job_id" else f"{name}={value}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": getattr(record, "request_id", "-"),
            "message": record.getMessage(),
        }
        line |= _extras(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
