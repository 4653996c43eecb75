"""`make mutants`: apply each mutant to a copy of the tree, one at a time, and run the tests that must fail of it.

Ends with 1 when a mutant survived, or could not be judged. `--results FILE` keeps what was judged: what was killed
there is not run again.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.util import cache_from_source
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.mutant import ROOT, Mutant, mutants
from tests.mutants.running import run

KILLED, SURVIVED, BROKEN = "killed", "SURVIVED", "BROKEN"
_FAILED = 1
"""What pytest ends with when a test failed; anything else but 0 says that it could not run."""


def copy_to(folder: Path) -> None:
    """Copy what git knows or would add, as it is now."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    # What tests take from the checkout: programs that were installed, and what they have downloaded.
    for name in (".venv", ".cache"):
        if (ROOT / name).exists() and not (folder / name).exists():
            (folder / name).symlink_to((ROOT / name).resolve())


def judge(folder: Path, mutant: Mutant) -> tuple[str, str]:
    """Return whether a mutant was killed, and what pytest said."""
    path = mutant.place(folder)
    right = path.read_text()
    _write(path, mutant.apply(right))
    try:
        code, said = run(folder, mutant.tests)
    finally:
        _write(path, right)
    return {0: SURVIVED, _FAILED: KILLED}.get(code, BROKEN), said


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    # Byte code is judged by time and size: a mutant of the same size within the same second would not be seen.
    Path(cache_from_source(str(path))).unlink(missing_ok=True)


def judged(folder: Path, chosen: list[Mutant], *, trust: bool) -> Iterator[tuple[Mutant, str, str]]:
    """Judge mutants one after the other. Unless `trust`, their tests have to pass without them first."""
    unsound: dict[tuple[str, ...], str] = {}
    for mutant in chosen:
        if mutant.tests not in unsound:
            code, said = (0, "") if trust else run(folder, mutant.tests)
            unsound[mutant.tests] = said if code else ""
        wrong = unsound[mutant.tests]
        yield mutant, *((BROKEN, wrong) if wrong else judge(folder, mutant))


def _killed_before(results: Path | None) -> set[str]:
    if results is None or not results.exists():
        return set()
    rows = map(json.loads, results.read_text().splitlines())
    return {row["name"] for row in rows if row["verdict"] == KILLED}


def main(given: argparse.Namespace) -> int:
    """Judge the chosen mutants and return the exit code."""
    before = _killed_before(given.results)
    chosen = [one for one in mutants() if fnmatch(one.name, given.only) and one.name not in before]
    counts = Counter("equivalent" for one in chosen if one.equivalent)
    chosen = [one for one in chosen if not one.equivalent]
    with TemporaryDirectory(prefix="parley-mutants-") as name:
        copy_to(Path(name))
        begun = time.monotonic()
        for number, (mutant, verdict, said) in enumerate(judged(Path(name), chosen, trust=given.trust), 1):
            counts[verdict] += 1
            seconds, begun = round(time.monotonic() - begun, 1), time.monotonic()
            by = next((line for line in said.splitlines() if line.startswith("FAILED ")), "")[7:150]
            print(f"{number}/{len(chosen)} {verdict} {mutant.name} ({seconds} s) {by}", flush=True)
            if verdict == BROKEN:
                print(said[-2000:], flush=True)
            if given.results is not None:
                row = {"name": mutant.name, "verdict": verdict, "seconds": seconds, "by": by}
                with given.results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "nothing to do")
    return 1 if counts[SURVIVED] + counts[BROKEN] else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("--only", default="*", help="names of mutants, with * and ?")
    parser.add_argument("--results", type=Path, help="a file to keep verdicts in, and to go on from")
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a mutant first")
    sys.exit(main(parser.parse_args()))
