"""`make cluster`: a Ray cluster of two nodes on this machine, and the service in front of it, until Ctrl-C.

For looking at it: real nodes are machines, each with `ray start` (docs/cluster-ray.md).
"""

import os
import signal
import subprocess
import sys

from ray.cluster_utils import Cluster

_OBJECT_STORE = 128 * 2**20


def main() -> int:
    node = {"num_cpus": 1, "object_store_memory": _OBJECT_STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    cluster.add_node(num_cpus=1, object_store_memory=_OBJECT_STORE)
    replicas = {"RAY_MIN_REPLICAS": "1", "RAY_MAX_REPLICAS": "2"}
    settings = {"ENGINE": "ray", "RAY_ADDRESS": cluster.address, **replicas}
    # The signal that ends it reaches both; the service has its own way to end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(  # noqa: S603
            [sys.executable, "-m", "backend", *sys.argv[1:]], env={**os.environ, **settings}, check=False
        ).returncode
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main())
