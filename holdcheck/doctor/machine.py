"""The machine: its Python, its processor, a GPU where one is asked for."""

import importlib.util
import os
import platform
import sys
from pathlib import Path

from holdcheck import device as devices
from holdcheck.doctor.configuration import Configuration
from holdcheck.doctor.finding import Finding
from holdcheck.errors import SettingsError

_CPUINFO = Path("/proc/cpuinfo")
_INT8 = ("avx_vnni", "avx512_vnni", "asimddp", "i8mm")
"""Dot products of bytes, in one instruction: x86's and ARM's."""
_WIDE = ("avx2", "avx512f", "asimd", "neon")
_PREPARES = ("torch", "open_clip", "ultralytics", "onnx")


def python() -> Finding:
    """Which one runs, and on what C library."""
    libc = " ".join(platform.libc_ver()).strip()
    build = f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}"
    text = f"{build}, {libc or 'no glibc'}, {sys.prefix}"
    if libc or not sys.platform.startswith("linux"):
        return Finding("python", text)
    return Finding(
        "python",
        f"{text}: freed memory goes back late, and more is needed than measured",
        "warning",
        "a system with glibc, such as Debian",
    )


def cpu(configuration: Configuration | None) -> Finding:
    """What it computes with, and so how fast; nothing is required."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    text = f"{cores} {'core' if cores == 1 else 'cores'}; {_speed(_features())}"
    threads = configuration.library.omp_num_threads if configuration else 1
    if threads <= cores:
        return Finding("cpu", text)
    text = f"{text}; {threads} threads on {cores} wait for each other"
    return Finding("cpu", text, "warning", f"OMP_NUM_THREADS={cores}")


def _features() -> frozenset[str]:
    """As Linux names them; empty where it does not tell."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        return frozenset()
    named = (line.partition(":") for line in lines)
    return frozenset(
        " ".join(value for name, _, value in named if name.strip() in {"flags", "Features"}).split()
    )


def _speed(features: frozenset[str]) -> str:
    if not features:
        return "what it computes with is not known here"
    found = [name for name in (*_WIDE, *_INT8) if name in features]
    if any(name in features for name in _INT8):
        return f"{' '.join(found)}: as fast as measured (README)"
    if found:
        return f"{' '.join(found)}, no int8 dot products: CLIP takes longer than measured"
    return "neither AVX2 nor NEON: it works, slower than measured"


def device(configuration: Configuration) -> Finding:
    """Where the models would compute."""
    try:
        chosen = devices.choose(configuration.library)
    except SettingsError as error:
        text, _, remedy = str(error).partition("; ")
        return Finding("device", text, "problem", remedy)
    return Finding("device", f"{chosen.kind}: {chosen.reason}")


def prepare() -> Finding:
    """Whether models could be prepared here; serving does not need it."""
    missing = [name for name in _PREPARES if not importlib.util.find_spec(name)]
    if missing:
        return Finding(
            "prepare", f"{', '.join(missing)} not installed: to serve they are not needed (make models)"
        )
    return Finding("prepare", f"{', '.join(_PREPARES)} are installed")
