"""`python -m holdcheck`: analyse photos, prepare and evaluate models, export corrections, check a set-up."""

import argparse
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from holdcheck import export_corrections
from holdcheck.errors import HoldcheckError
from holdcheck.evaluate import command as evaluate_command
from holdcheck.result import Result
from holdcheck.settings import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. What is wrong is said in one line on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        if parsed.command == _doctor:  # before the settings are read: they may be what is wrong
            return _doctor(parsed)
        return int(parsed.command(parsed, Settings.load()))
    except HoldcheckError as error:
        print(f"holdcheck: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"holdcheck: {error.filename or 'the system'}: {error.strerror}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="holdcheck", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    analyze = commands.add_parser("analyze", help="find, colour and group the holds on a photo")
    analyze.add_argument("photo", type=Path, help="JPEG, PNG, WebP, HEIC or AVIF")
    analyze.add_argument("--json", type=Path, metavar="FILE", help="write the whole answer")
    analyze.add_argument("--draw", type=Path, metavar="FILE", help="write the photo with the answer drawn on")
    analyze.add_argument(
        "--wall-angle", choices=["slab", "face", "overhang"], help="helps the difficulty estimate"
    )
    analyze.set_defaults(command=_analyze)

    prepare = commands.add_parser(
        "prepare", help="turn real weights into the artefacts that the server maps (needs the `models` extra)"
    )
    prepare.add_argument(
        "--clip",
        metavar="NAME",
        help="ViT-B/32, ViT-B/16, or an open_clip NAME:PRETRAINED, where PRETRAINED may be a "
        "checkpoint file; CLIP_MODEL where neither --clip nor --yolo is given",
    )
    prepare.add_argument(
        "--yolo", metavar="FILE", help="an ultralytics segmentation model (.pt of v8, 11 or 26)"
    )
    prepare.add_argument(
        "--random-weights",
        action="store_true",
        help="true architecture and size, seeded random weights, for benchmarks; its answers say is_dummy",
    )
    prepare.add_argument(
        "--undo",
        action="store_true",
        help="bring back what the latest preparation of the same model replaced; again, and it is undone",
    )
    prepare.set_defaults(command=_prepare)

    evaluate = commands.add_parser(
        "evaluate", help="measure the models on a labelled data set, through the code that serves"
    )
    evaluate_command.add_arguments(evaluate)
    evaluate.set_defaults(command=evaluate_command.run)

    export = commands.add_parser(
        "export-corrections", help="write what climbers put right and shared as a set to train on"
    )
    export_corrections.add_arguments(export)
    export.set_defaults(command=_export_corrections)

    doctor = commands.add_parser("doctor", help="look at the set-up, and say what to change")
    doctor.add_argument("--json", action="store_true", help="one JSON object instead of lines for people")
    doctor.set_defaults(command=_doctor)
    return parser


# Imports stay inside the commands: `--help` and a typing mistake should not wait for onnxruntime.


def _analyze(parsed: argparse.Namespace, settings: Settings) -> int:
    from holdcheck import draw, pipeline, registry

    if parsed.draw:
        draw.check_target(parsed.draw)  # before a minute's work, not after it
    models = registry.load(settings)
    start = time.perf_counter()
    job_id = str(uuid.uuid4())
    answer: object = None
    for event in pipeline.analyze(
        parsed.photo, models, settings, job_id=job_id, wall_angle=parsed.wall_angle
    ):
        seconds = time.perf_counter() - start
        print(f"{seconds:7.2f} s  {event.progress:3d}%  {event.step:20s} {event.memory.rss_mb:6.1f} MiB")
        answer = event.data.get("result")
    result = Result.model_validate(answer)
    print(table(result))
    if parsed.json:
        parsed.json.write_text(result.model_dump_json(indent=2) + "\n", encoding="utf-8")
    if parsed.draw:
        draw.save(parsed.photo, result, settings, parsed.draw)
    return 0


def table(result: Result) -> str:
    """The problems of an answer, a line each."""
    counts = result.statistics
    lines = [f"{counts.holds_kept} of {counts.total_holds} holds, {counts.total_problems} problems"]
    for problem in result.problems:
        grade = problem.difficulty
        estimate = f"{grade.grade} ({grade.low} to {grade.high})" if grade else "too few holds to say"
        lines.append(f"{problem.id:3d}  {problem.color_name:8s} {problem.hold_count:3d} holds  {estimate}")
    if result.is_dummy:
        lines.append("is_dummy: a model without real weights took part; this answer means nothing.")
    if result.degraded:
        lines.append(f"degraded: {result.error_reason}")
    return "\n".join(lines)


def _prepare(parsed: argparse.Namespace, settings: Settings) -> int:
    from holdcheck import prepare

    if parsed.undo:
        prepare.run_undo(parsed.clip, parsed.yolo, settings, print)
    else:
        prepare.run(parsed.clip, parsed.yolo, parsed.random_weights, settings, print)
    return 0


def _export_corrections(parsed: argparse.Namespace, _settings: Settings) -> int:
    return export_corrections.run(parsed, print)


def _doctor(parsed: argparse.Namespace) -> int:
    from holdcheck import doctor

    return doctor.run(print, as_json=parsed.json)
