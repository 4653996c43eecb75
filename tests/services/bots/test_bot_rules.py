"""What bots decide: masks, etags and owners."""

from uuid import UUID

import pytest

from services.bots.errors import FieldNotUpdatable
from services.bots.rules import BOT_FIELDS, Bot, updated

ID = UUID(int=1)
OLD = Bot(ID, "Ann", "old", "model-a", 100, 0.5)
NEW = Bot(ID, "Bob", "", "model-b", 0, None)


@pytest.mark.parametrize(
    ("paths", "expected", "fields"),
    [
        (["name"], Bot(ID, "Bob", "old", "model-a", 100, 0.5), ["name"]),
        (["description"], Bot(ID, "Ann", "", "model-a", 100, 0.5), ["description"]),
        (
            ["parameters"],
            Bot(ID, "Ann", "old", "model-a", 0, None),
            ["parameters.max_output_tokens", "parameters.temperature"],
        ),
        (["parameters.temperature"], Bot(ID, "Ann", "old", "model-a", 100, None), ["parameters.temperature"]),
        ([], Bot(ID, "Bob", "old", "model-b", 100, 0.5), ["name", "model"]),
        (["prompt_label"], OLD, []),
    ],
)
def test_a_mask_changes_what_it_names(paths: list[str], expected: Bot, fields: list[str]) -> None:
    assert updated(OLD, NEW, paths, BOT_FIELDS) == (expected, fields)


@pytest.mark.parametrize("path", ["id", "etag", "parameters.top_k", "nam", "create_time"])
def test_a_mask_that_names_something_else_is_refused(path: str) -> None:
    with pytest.raises(FieldNotUpdatable) as raised:
        updated(OLD, NEW, [path], BOT_FIELDS)
    assert raised.value.fields == {"field": path}
