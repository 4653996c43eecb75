"""What the person at the terminal sees: progress, deaths, and one table at the end."""

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.part import Part
from deploy.local.state import PartState


class Screen:
    """Lines on the terminal; plain ones when the output is not a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._pending: dict[str, str] = {}

    def starting(self, part: Part) -> None:
        """Note that a part begins; it is named when the start takes too long."""
        self._pending[part.name] = part.title
        self._console.print(f"  [dim]…[/] {escape(part.title)}")

    def ready(self, part: Part, pid: int, seconds: float) -> None:
        """Say that a part is ready, or done."""
        self._pending.pop(part.name, None)
        end = "done" if part.one_shot else f"ready, pid {pid}"
        self._console.print(f"  [green]✓[/] {escape(part.title)} [dim]{end} ({seconds:.1f} s)[/]")

    def unready(self) -> str:
        """Name what began and is not ready."""
        return ", ".join(f"{title} ({name})" for name, title in self._pending.items()) or "the edge"

    def died(self, epitaph: str, pause: float) -> None:
        """Say that a part died and when it is started again."""
        self._console.print(f"  [red]✗[/] {escape(epitaph)}; starting it again in {pause:g} s")

    def restarted(self, part: Part, pid: int) -> None:
        """Say that a part runs again."""
        self._console.print(f"  [green]↻[/] {escape(part.title)} ({part.name}) started again, pid {pid}")

    def stopping(self, part: Part) -> None:
        """Say that a part is being stopped."""
        self._console.print(f"  [dim]■ stopping {escape(part.title)}[/]")

    def say(self, text: str) -> None:
        """Print a text as it is."""
        self._console.print(escape(text))

    def table(self, parts: Iterable[tuple[str, PartState]]) -> None:
        """Show what runs where."""
        rows = [(name, part.title, part.address or "-", str(part.pid)) for name, part in parts]
        if not self._console.is_terminal:
            for row in rows:
                self._console.print(escape("  ".join(row)))
            return
        table = Table("part", "what it is", "where", "pid", title="Parley is up", title_justify="left")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)
