"""What bots decide: masks, etags and owners."""

from uuid import UUID

import pytest

from services.bots.errors import EtagMismatch, FieldNotUpdatable
from services.bots.rules import BOT_FIELDS, Bot, check_etag, etag_of, owner_of, updated

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


def test_an_etag_of_another_revision_is_refused() -> None:
    check_etag(OLD, "")
    check_etag(OLD, etag_of(OLD))
    with pytest.raises(EtagMismatch, match='it is "1" now'):
        check_etag(OLD, '"2"')


def test_the_organisation_owns_what_its_people_make() -> None:
    assert owner_of("ann", "") == "user:ann"
    assert owner_of("ann", "acme") == owner_of("bob", "acme") == "organization:acme"
    assert owner_of("acme", "") != owner_of("ann", "acme")
