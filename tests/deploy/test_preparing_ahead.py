"""What the full profile runs is brought into the cache ahead; what is wrong is told in one line."""

from pathlib import Path

import pytest

from deploy.local.prepare import main


def test_a_cache_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    taken = tmp_path / "cache"
    taken.write_text("a file")
    assert main([str(taken)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert str(taken) in line


def test_what_is_there_is_not_brought_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Path(__file__).parents[2] / ".cache" / "parley"
    assert main([str(cache)]) == 0
    # Nothing that fetches or builds can be run.
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main([str(cache)]) == 0
