"""`make bench`: the usual stack and this service side by side, on the same photos, one thread each."""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from bench import decode, naive, service
from bench.inputs import random_models, wall_photos

_ROUNDS = 2
"""The two stacks take turns, so that whatever else the machine does slows both."""
_ROWS = (
    ("ready, MiB RSS", "ready_rss_mib"),
    ("peak, MiB RSS", "peak_rss_mib"),
    ("peak, MiB anonymous", "peak_anon_mib"),
    ("start to ready, s", "ready_s"),
    ("one photo with 40 holds, s", "seconds_per_photo"),
    ("one CLIP crop, s", "seconds_per_crop"),
)
_BARS = (
    ("peak_rss_mib", "ratio", 0.22),
    ("ready_rss_mib", "ours", 190),
    ("peak_rss_mib", "ours", 256),
    ("seconds_per_photo", "ratio", 0.45),
    ("ready_s", "ours", 1.5),
)

Figures = dict[str, float]


def main() -> int:
    """Measure, print the table, write build/bench.json; 1 where a bar is missed."""
    argparse.ArgumentParser(prog="python -m bench", description=__doc__).parse_args()
    photos, models = wall_photos(), random_models()
    naive_rounds, our_rounds = [], []
    for number in range(_ROUNDS):
        print(f"round {number + 1} of {_ROUNDS} ...", file=sys.stderr)
        naive_rounds.append(naive.measure(photos))
        with tempfile.TemporaryDirectory() as data:
            our_rounds.append(service.measure(photos, models, Path(data)))
    with tempfile.TemporaryDirectory() as scratch:
        decoding = decode.measure(Path(scratch))
    figures = {"naive": _summary(naive_rounds), "ours": _summary(our_rounds)}
    report = {**figures, "decode": decoding}
    Path("build").mkdir(exist_ok=True)
    Path("build/bench.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(_table(figures["naive"], figures["ours"], decoding))
    return _judge(figures["naive"], figures["ours"])


def _summary(rounds: list[Figures]) -> Figures:
    """Memory at its worst, times at their best: noise only ever adds."""
    return {name: (max if name.endswith("_mib") else min)(one[name] for one in rounds) for name in rounds[0]}


def _table(theirs: Figures, ours: Figures, decoding: dict[str, dict[str, Figures]]) -> str:
    lines = ["| | usual stack | holdcheck | ratio |", "| --- | ---: | ---: | ---: |"]
    for title, name in _ROWS:
        lines.append(_row(title, theirs[name], ours[name], 0 if name.endswith("_mib") else 3))
    for kind, peaks in decoding.items():
        lines.append(_row(f"decode {kind}, MiB", peaks["naive"]["peak_mib"], peaks["ours"]["peak_mib"], 0))
    return "\n".join(lines)


def _row(title: str, theirs: float, ours: float, digits: int) -> str:
    return f"| {title} | {theirs:.{digits}f} | **{ours:.{digits}f}** | {ours / theirs:.2f} |"


def _judge(theirs: Figures, ours: Figures) -> int:
    missed = []
    for name, what, bar in _BARS:
        value = ours[name] / theirs[name] if what == "ratio" else ours[name]
        if value > bar:
            missed.append(f"{name} ({what}) is {value:.2f}, the bar is {bar}")
    print("\n".join(missed) or "every bar is met", file=sys.stderr)
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
