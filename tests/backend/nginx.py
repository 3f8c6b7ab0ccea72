"""A real nginx before a real server, as an ordinary installation has it: it buffers and compresses."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.server import free_port
from tests.listening import wait_until_listening

_CONFIGURATION = """
{user}
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log info;
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;

    # On purpose: what tutorials switch on, and what holds events back where nobody says otherwise.
    gzip on;
    gzip_proxied any;
    gzip_min_length 0;
    gzip_types application/json application/problem+json text/event-stream;
    proxy_buffering on;

    client_max_body_size 30m;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {upstream};
            proxy_set_header Host $host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
        }}
    }}
    server {{
        listen 127.0.0.1:{passing_port};
        location / {{
            proxy_pass {upstream};
            proxy_http_version 1.1;
            proxy_request_buffering off;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    url: str
    """Uploads are kept until they are whole, the default."""
    passing_url: str
    """Uploads are passed on as they come."""
    error_log: Path


@contextmanager
def nginx_before(upstream: str, folder: Path) -> Iterator[Nginx]:
    """Run nginx, on two free ports, before the server at the address `upstream`."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.fail("nginx is not installed: apt-get install --no-install-recommends nginx-light")
    port, passing_port = free_port(), free_port()
    file = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # else its worker could not enter the test's folder
    file.write_text(
        _CONFIGURATION.format(
            user=user, folder=folder, upstream=upstream, port=port, passing_port=passing_port
        )
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log")])
    try:
        wait_until_listening("nginx", port, process, folder / "error.log")
        yield Nginx(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{passing_port}", folder / "error.log")
    finally:
        process.terminate()
        process.wait(10)
