"""The list of mutants: one file of TOML an area. A mutant is a small change that would be a fault."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LISTS = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """A change of one place, and the tests that must fail of it."""

    name: str
    """The list and what would be wrong: `fences/a late worker ends the run`."""
    file: str
    """Where it stands: a file, or a pattern of files and folders when the text may move among them."""
    old: str
    """Occurs once in all of them."""
    new: str
    tests: tuple[str, ...]
    """What pytest is told to run: files, or tests in them."""
    equivalent: str = ""
    """Why no test can tell it from what is right; such a mutant has no tests, and is not run."""

    def place(self, root: Path) -> Path:
        """Return the file to change. Raises ValueError unless there is exactly one place for it."""
        found = [path for path in self._files(root) for _ in range(path.read_text().count(self.old))]
        if len(found) != 1:
            raise ValueError(f"{self.name}: the old text stands {len(found)} times in {self.file}")
        return found[0]

    def apply(self, text: str) -> str:
        """Return the text of that file with the change."""
        return text.replace(self.old, self.new)

    def _files(self, root: Path) -> Iterator[Path]:
        for path in sorted(root.glob(self.file)):
            yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def mutants() -> list[Mutant]:
    """Return all of them, in the order of the lists."""
    found = []
    for path in sorted(LISTS.glob("*.toml")):
        for values in tomllib.loads(path.read_text())["mutant"]:
            about = {"name": f"{path.stem}/{values['name']}", "tests": tuple(values.get("tests", ()))}
            found.append(Mutant(**values | about))
    return found
