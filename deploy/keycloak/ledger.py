"""What a synchronisation changes, or would change."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Ledger:
    """Writes every change down; applies it as well unless it is only a check."""

    check: bool
    say: Callable[[str], None]
    changes: list[str] = field(default_factory=list)

    def make(self, what: str, apply: Callable[[], object]) -> bool:
        """Note that something is missing and make it; return whether it is there now."""
        self._note(f"+ {what}")
        if not self.check:
            apply()
        return not self.check

    def mend(self, what: str, found: Iterable[str], apply: Callable[[], object]) -> None:
        """Note each difference that was found in something, and mend them all at once."""
        lines = list(found)
        for line in lines:
            self._note(f"~ {what}: {line}")
        if lines and not self.check:
            apply()

    def _note(self, line: str) -> None:
        self.changes.append(line)
        self.say(line)
