"""The weights of local models: what models.lock says of them, where they are, and whether they are genuine."""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

LOCK = Path(__file__).parent / "models.lock"
_SHA256_DIGITS = 64
_CHUNK_BYTES = 4 * 1024 * 1024


class LockInvalid(Exception):
    """models.lock lacks something or holds nonsense."""


class WeightsUnusable(Exception):
    """The weights cannot be used."""


class WeightsMissing(WeightsUnusable):
    """The weights are not on this machine."""


class WeightsNotGenuine(WeightsUnusable):
    """The file is not the one that models.lock names."""


@dataclass(frozen=True, slots=True)
class Part:
    """One package that carries a piece of the weights."""

    package: str
    version: str


@dataclass(frozen=True, slots=True)
class LockedModel:
    """One model of models.lock. `bytes` and `sha256` are those of the whole file."""

    id: str
    title: str
    file: str
    bytes: int
    sha256: str
    licence: str
    context_tokens: int
    parts: tuple[Part, ...]
    bundled: bool = False


def read_lock(path: Path = LOCK) -> tuple[LockedModel, ...]:
    """Return the models of a lock file in its order, the best one first. Raises LockInvalid."""
    try:
        entries = tomllib.loads(path.read_text())["models"]
        return tuple(_locked_model(entry) for entry in entries)
    except (KeyError, TypeError, ValueError) as error:
        raise LockInvalid(f"{path}: {error!r}") from error


def _locked_model(entry: dict[str, Any]) -> LockedModel:
    model = LockedModel(**{**entry, "parts": tuple(Part(**part) for part in entry["parts"])})
    if (
        not model.parts
        or Path(model.file).name != model.file
        or model.bytes <= 0
        or len(model.sha256) != _SHA256_DIGITS
    ):
        raise ValueError(f"the entry {model.id!r} needs parts, a plain file name, bytes and a sha256")
    return model


def models_folder(home: Path) -> Path:
    """Return where fetched weights lie."""
    return home / "models"


def find(model: LockedModel, home: Path) -> Path | None:
    """Return the file with the weights, None when it is not on this machine. Reads no weights."""
    path = _bundled(model.parts[0].package, model.file) if model.bundled else models_folder(home) / model.file
    return path if path is not None and path.is_file() else None


@cache
def _bundled(package: str, name: str) -> Path | None:
    try:
        # Metadata only: packages with weights are never imported, because their code is not ours to run.
        files = metadata.files(package) or []
    except metadata.PackageNotFoundError:
        return None
    return next((Path(str(file.locate())) for file in files if file.name == name), None)


def verified(model: LockedModel, home: Path) -> Path:
    """Return the file with the weights once it is known to be genuine. Reads all of it the first time (1 s per GB).

    Raises:
        WeightsMissing: they are not on this machine.
        WeightsNotGenuine: size or checksum differ from the lock.
    """
    path = find(model, home)
    if path is None:
        raise WeightsMissing(f"its weights are not here: run `parley models fetch {model.id}`")
    stamp_path = _stamp_path(model, home)
    if stamp_path.is_file() and stamp_path.read_text() == _stamp(model, path):
        return path
    check(model, path)
    stamp(model, path, home)
    return path


def stamp(model: LockedModel, path: Path, home: Path) -> None:
    """Remember that the file at `path` was checked, for as long as its size and time stay the same."""
    stamp_path = _stamp_path(model, home)
    stamp_path.parent.mkdir(parents=True, exist_ok=True)
    stamp_path.write_text(_stamp(model, path))


def check(model: LockedModel, path: Path) -> None:
    """Raise WeightsNotGenuine unless `path` has the size and the checksum of the lock."""
    size = path.stat().st_size
    if size != model.bytes:
        raise WeightsNotGenuine(f"{path.name} has {size} bytes, models.lock says {model.bytes}")
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != model.sha256:
        raise WeightsNotGenuine(f"{path.name} has another sha256 than models.lock says")


def _stamp_path(model: LockedModel, home: Path) -> Path:
    # Not always beside the weights: bundled ones may lie where we must not write.
    return models_folder(home) / f"{model.file}.verified"


def _stamp(model: LockedModel, path: Path) -> str:
    status = path.stat()
    return f"{model.sha256} {status.st_size} {status.st_mtime_ns} {path.absolute()}\n"
