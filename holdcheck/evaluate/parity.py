"""The small runtime beside the reference: what int8 and fp16 artefacts lose against torch in fp32."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from holdcheck.evaluate.run import Progress, Report, evaluate, silent
from holdcheck.evaluate.tables import table
from holdcheck.settings import Settings

AP50_LOSS = 0.01
COLOUR_LOSS = 0.005
LIMITS: Mapping[str, float] = {
    "hold.mask_ap50": AP50_LOSS,
    "volume.mask_ap50": AP50_LOSS,
    "hold.box_ap50": AP50_LOSS,
    "volume.box_ap50": AP50_LOSS,
    "colour.top1": COLOUR_LOSS,
    "wall.colour": COLOUR_LOSS,
}
"""The most that a figure may be lower in onnx than in torch."""


@dataclass(frozen=True, slots=True)
class Parity:
    """The same figures from both runtimes."""

    onnx: Report
    torch: Report

    def losses(self) -> dict[str, float]:
        """torch minus onnx, of each figure in LIMITS that the data set can measure."""
        both = self.onnx.figures.keys() & self.torch.figures.keys()
        return {name: self.torch.figures[name] - self.onnx.figures[name] for name in LIMITS if name in both}

    def missed(self) -> list[str]:
        """One line for each limit that is passed."""
        return [
            f"{name} loses {loss:.4f} in onnx, the limit is {LIMITS[name]:g}"
            for name, loss in self.losses().items()
            if loss > LIMITS[name]
        ]

    def table(self) -> str:
        rows = [
            [
                name,
                f"{self.torch.figures[name]:.4f}",
                f"{self.onnx.figures[name]:.4f}",
                f"{loss:+.4f}",
                f"{LIMITS[name]:g}",
            ]
            for name, loss in self.losses().items()
        ]
        lines = [
            f"{len(self.onnx.photos)} photos; torch: {_models(self.torch)}; onnx: {_models(self.onnx)}",
            "",
            *table(["", "torch", "onnx", "lost", "limit"], rows),
        ]
        return "\n".join(lines)


def compare(
    dataset: Path, split: str, settings: Settings, *, clip: str | None = None, progress: Progress = silent
) -> Parity:
    """Evaluate in both runtimes, whatever RUNTIME says; torch on the CPU, in fp32.

    Raises:
        HoldcheckError: as `run.evaluate`.
    """
    settings = settings.model_copy(update={"device": "cpu"})
    reports = [
        evaluate(
            dataset,
            split,
            settings.model_copy(update={"runtime": runtime}),
            clip=clip,
            progress=_naming(runtime, progress),
        )
        for runtime in ("onnx", "torch")
    ]
    return Parity(*reports)


def _naming(runtime: str, progress: Progress) -> Progress:
    return lambda what, done, total: progress(f"{what} in {runtime}", done, total)


def _models(report: Report) -> str:
    infos = (report.detector, report.classifier)
    return " and ".join(f"{info.name} {info.precision}" if info else "no CLIP" for info in infos)
