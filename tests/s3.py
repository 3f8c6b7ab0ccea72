"""An S3-compatible server of the tests' own, or the one that TEST_S3_ENDPOINT names.

moto's server: it speaks S3 over HTTP, multipart uploads and listings included, and checks no signature. It
lives in an environment of its own, build/s3-server, because botocore holds back a library of ours.
"""

import os
import socket
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path
from urllib.error import URLError

import pytest

SERVER = Path(__file__).parents[1] / "build" / "s3-server" / "bin" / "moto_server"
_START_S = 60


class S3:
    """One running server and a bucket, in which each test has a folder of its own."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._bucket = os.environ.get("TEST_S3_BUCKET", "tests")
        endpoint = os.environ.get("TEST_S3_ENDPOINT") or self._start()
        self.environment = {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": os.environ.get("TEST_S3_ACCESS_KEY", "test-key"),
            "AWS_SECRET_ACCESS_KEY": os.environ.get("TEST_S3_SECRET_KEY", "test-secret"),
            "AWS_REGION": "us-east-1",
        }

    def new_folder(self) -> str:
        """The URL of one that is empty."""
        return f"s3://{self._bucket}/{uuid.uuid4()}"

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_S)

    def _start(self) -> str:
        if not SERVER.is_file():
            pytest.skip("NOT CHECKED against an S3-compatible server: build/s3-server is missing (make test)")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [SERVER, "--host", "127.0.0.1", "--port", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        endpoint = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + _START_S
        while True:
            try:
                request = urllib.request.Request(f"{endpoint}/{self._bucket}", method="PUT")
                urllib.request.urlopen(request).close()
            except URLError:
                assert time.monotonic() < deadline
                assert self._process.poll() is None
                time.sleep(0.05)
            else:
                return endpoint
