"""A real Ray cluster of two nodes on this machine. Its replicas say what they are at, and take their time."""

import os
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.backend.server import ROOT

pytest.importorskip(
    "ray", reason="NOT CHECKED: ENGINE=ray. Install: pip install -c constraints.txt -e '.[ray]'"
)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # Ray's own, about itself
    from ray.cluster_utils import Cluster

FAKES = {"ALLOW_DUMMY": "1", "YOLO_WEIGHTS": "fake", "CLIP_MODEL": "fake"}
PAUSE_S = 2.0
_OBJECT_STORE = 80 * 2**20
_IN_REPLICAS = """
import os, sys
if "MALLOC_ARENA_MAX" in os.environ and any("default_worker" in word for word in sys.orig_argv):
    import time
    from pathlib import Path
    from holdcheck import pipeline
    marks, stop_late, stick = Path({folder!r}), Path({folder!r}, "stop-late"), Path({folder!r}, "stick")
    analyze = pipeline.analyze
    def slowly(*arguments, should_stop, job_id, **named):
        for event in analyze(*arguments, should_stop=should_stop, job_id=job_id, **named):
            yield event
            if event.step == "detection_complete":
                time.sleep(0.3)  # until what was said so far has been heard
                (marks / f"{{job_id}}.{{os.getpid()}}").touch()
                if stick.exists():
                    stick.unlink()
                    import backend.analyzer
                    backend.analyzer._STUCK_S = 1.0
                    time.sleep(600)  # as a decoder that never returns
                end = time.monotonic() + {pause_s}
                while time.monotonic() < end and (stop_late.exists() or not should_stop()):
                    time.sleep(0.02)
    pipeline.analyze = slowly
"""


class House:
    """A cluster of two nodes, and where its replicas leave their marks.

    Args:
        rooms: so many replicas have room on each node.
    """

    def __init__(self, folder: Path, rooms: int) -> None:
        self.marks = folder / "marks"
        self.marks.mkdir()
        (folder / "sitecustomize.py").write_text(_IN_REPLICAS.format(folder=str(self.marks), pause_s=PAUSE_S))
        os.environ["PYTHONPATH"] = f"{folder}:{ROOT}"
        self._node = {"num_cpus": rooms, "object_store_memory": _OBJECT_STORE}
        self.cluster = Cluster(
            initialize_head=True, head_node_args={**self._node, "include_dashboard": False}
        )
        self.second = self._add()

    def _add(self) -> Any:
        return self.cluster.add_node(**self._node)

    def settings(self, **more: str) -> dict[str, str]:
        address = {"ENGINE": "ray", "RAY_ADDRESS": self.cluster.address}
        return {**FAKES, **address, "RAY_MIN_REPLICAS": "2", "RAY_MAX_REPLICAS": "2", **more}

    def workers(self, job_id: str) -> list[int]:
        """The processes that have found the job's holds, and go on with them for PAUSE_S."""
        return [int(mark.suffix[1:]) for mark in self.marks.glob(f"{job_id}.*")]

    def wait_for_worker(self, job_id: str, known: int = 0) -> None:
        """Until more have come to it than those that are known."""
        deadline = time.monotonic() + 60
        while len(self.workers(job_id)) <= known:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def kill_worker(self, job_id: str, known: int = 0) -> None:
        """Kill the one that runs the job."""
        self.wait_for_worker(job_id, known)
        for pid in self.workers(job_id):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextmanager
    def stopping_late(self) -> Iterator[None]:
        """Analyses that are cancelled go on nevertheless, as in a long batch."""
        mark = self.marks / "stop-late"
        mark.touch()
        yield
        mark.unlink()

    def stick_once(self) -> None:
        """The next analysis does not return."""
        (self.marks / "stick").touch()

    def lose_second_node(self) -> None:
        self.cluster.remove_node(self.second, allow_graceful=False)

    def replace_second_node(self) -> None:
        self.second = self._add()


@contextmanager
def built(folder: Path, rooms: int) -> Iterator[House]:
    """A house that is there for as long as it is needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", "")  # which it changes
        house = House(folder, rooms)
        yield house
        house.cluster.shutdown()
