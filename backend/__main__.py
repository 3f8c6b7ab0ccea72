"""`python -m backend`: check the settings, listen, serve; one process, until a signal."""

import argparse
import gc
import os
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, Any

from holdcheck.errors import SettingsError

if TYPE_CHECKING:
    from backend.settings import ServiceSettings

_USAGE_ERROR = 2
_GRACE_S = 8
"""Docker kills ten seconds after it asks."""


def main() -> int:
    # A container's first process does not hear a signal that it has no handler for; imports take a second.
    signal.signal(signal.SIGTERM, _end)
    # Imports make no garbage worth a tenth of the start; the engine turns it on when the models are loaded.
    gc.disable()
    from backend.settings import ServiceSettings
    from holdcheck import memory

    try:
        arguments = _arguments()
        shows = arguments.pop("settings")
        _refuse_workers("--workers ", arguments.pop("workers"))
        _refuse_workers("WEB_CONCURRENCY=", os.environ.get("WEB_CONCURRENCY") or "1")
        settings = ServiceSettings.load(**arguments)
    except SettingsError as error:
        print(f"holdcheck: {error}", file=sys.stderr)
        return _USAGE_ERROR
    if shows:
        print(settings.model_dump_json(indent=2))
        return 0
    _set_threads(settings)
    memory.tune_allocator()
    # Only now: numpy, OpenCV and onnxruntime read their thread counts when they are imported.
    from backend.serve import serve

    return serve(settings, _GRACE_S)


def _end(_signum: int, _frame: FrameType | None) -> None:
    """Nothing is accepted yet: leave at once. The server brings handlers of its own."""
    sys.exit(0)


def _arguments() -> dict[str, Any]:
    parser = argparse.ArgumentParser(
        prog="python -m backend",
        description="Serve the analysis of climbing-wall photos over HTTP.",
        epilog="Everything else is set by environment variables or a .env file; the README lists them.",
    )
    parser.add_argument("--port", type=int, help="port to listen on, 0 for a free one (PORT, 8000)")
    parser.add_argument("--host", help="address to listen on, 0.0.0.0 for all (HOST, 127.0.0.1)")
    parser.add_argument("--workers", default="1", metavar="1", help="processes that serve: there is one")
    parser.add_argument(
        "--settings", action="store_true", help="print the settings as JSON, keys hidden, and end"
    )
    return {name: value for name, value in vars(parser.parse_args()).items() if value is not None}


def _refuse_workers(option: str, number: str) -> None:
    if number.strip() != "1":
        raise SettingsError(
            f"{option}{number}: takes 1: one process serves; it takes one photo at a time on purpose, and "
            "holds the models and the queue; another would need their memory again"
        )


def _set_threads(settings: "ServiceSettings") -> None:
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = str(settings.omp_num_threads)
    os.environ["MKL_NUM_THREADS"] = str(settings.mkl_num_threads)
    os.environ["NUMEXPR_NUM_THREADS"] = str(settings.numexpr_num_threads)


if __name__ == "__main__":
    sys.exit(main())
