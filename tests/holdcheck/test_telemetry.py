"""Running the models tells nobody."""

import os
import subprocess
import sys
from pathlib import Path

_LOAD = """
import threading
from pathlib import Path
from holdcheck import registry
from holdcheck.settings import Settings
assert registry.load(Settings(_env_file=None, models_dir=Path("nowhere"))).ready
print(len(list(Path("/proc/self/task").iterdir())) - threading.active_count())
"""


def test_the_runtime_keeps_no_identity_of_the_machine_and_starts_no_thread_to_report(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", _LOAD],
        env={**environment, "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []
    assert done.stdout.split()[-1] == "0"
