"""What a program of this folder found broken."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class Promises:
    """Each `broken` line names a promise that was not kept, and what was seen instead."""

    broken: list[str] = field(default_factory=list)

    def expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.broken.append(what)
