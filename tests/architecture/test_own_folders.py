"""The tests run beside files that another user's tests have left in the common temporary folder."""

import os
from pathlib import Path

import pytest

from tests.support import own_folder as support
from tests.support.own_folder import is_own, own_folder, use_own_folders


def test_a_user_has_one_folder(tmp_path: Path) -> None:
    folder = own_folder(tmp_path, os.getuid())
    assert own_folder(tmp_path, os.getuid()) == folder
    assert is_own(folder, os.getuid())
    assert is_own(tmp_path / "missing", 1)


def test_a_folder_of_that_name_that_is_somebody_elses_is_left_alone(tmp_path: Path) -> None:
    other = os.getuid() + 1
    (tmp_path / f"parley-{other}").mkdir()
    folders = {own_folder(tmp_path, other) for _ in range(2)}
    assert len(folders) == 2
    assert tmp_path / f"parley-{other}" not in folders
    assert {folder.parent for folder in folders} == {tmp_path}


def test_pytest_is_led_away_from_a_folder_that_is_somebody_elses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(support, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setenv("LOGNAME", "ann")
    for name in ("PYTEST_DEBUG_TEMPROOT", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    use_own_folders()
    assert "PYTEST_DEBUG_TEMPROOT" not in os.environ
    assert Path(os.environ["XDG_RUNTIME_DIR"]).parent == tmp_path
    (tmp_path / "pytest-of-ann").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: 4321)
    use_own_folders()
    assert Path(os.environ["PYTEST_DEBUG_TEMPROOT"]).name.startswith("parley-4321")
