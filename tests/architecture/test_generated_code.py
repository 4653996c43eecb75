"""gen/ is what protos/ say, and protos/ are as buf likes them."""

import shutil
import subprocess
from pathlib import Path

from tests.architecture.house import ROOT, files


def test_gen_is_what_make_gen_makes(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    (tmp_path / "gen" / "parley").mkdir(parents=True)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    # The environment is there already: `-o` keeps make from looking at its age.
    made = subprocess.run(
        ["make", "-o", ".venv/dev.stamp", "gen"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr
    fresh = _contents(tmp_path / "gen", list((tmp_path / "gen").rglob("*")))
    committed = _contents(ROOT / "gen", [path for path in files() if path.is_relative_to(ROOT / "gen")])
    del committed["parley/py.typed"]
    assert sorted(committed) == sorted(fresh), "run `make gen` and commit gen/"
    assert [name for name in fresh if fresh[name] != committed[name]] == [], "run `make gen` and commit gen/"


def _contents(folder: Path, paths: list[Path]) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def test_buf_accepts_the_protos() -> None:
    linted = subprocess.run([".venv/bin/buf", "lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout
