"""Codes, keys and members: what is decided about them."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from services.chassis.errors import InvalidFields
from services.identity.errors import FieldNotUpdatable, MemberRoleTooLow
from services.identity.rules.accounts import ApiKey, Purpose, code_hash, rotated_expiry, unknown_scopes
from services.identity.rules.organizations import MemberRole, demand, organization_changes
from tests.services.identity.fakes import START

DAY = timedelta(days=1)
KEY = ApiKey(uuid4(), uuid4(), "ci", "pk_0", frozenset({"a.read"}), START, START + 30 * DAY)


def test_the_hash_of_a_code_depends_on_all_of_it() -> None:
    good = code_hash("secret", Purpose.VERIFY_EMAIL, "ann", "12345678")
    assert good == code_hash("secret", Purpose.VERIFY_EMAIL, "ann", " 12345678 ")
    others = {
        code_hash("other", Purpose.VERIFY_EMAIL, "ann", "12345678"),
        code_hash("secret", Purpose.RESET_PASSWORD, "ann", "12345678"),
        code_hash("secret", Purpose.VERIFY_EMAIL, "bob", "12345678"),
        code_hash("secret", Purpose.VERIFY_EMAIL, "ann", "12345679"),
    }
    assert len(others) == 4
    assert good not in others


def test_a_key_is_good_until_it_expires_or_is_revoked() -> None:
    assert KEY.is_good(START + 30 * DAY - timedelta(seconds=1))
    assert not KEY.is_good(START + 30 * DAY)
    assert not replace(KEY, revoked_at=START).is_good(START)


def test_a_rotated_key_never_lives_longer_than_before() -> None:
    assert rotated_expiry(KEY, START, timedelta()) == START + DAY
    assert rotated_expiry(KEY, START, timedelta(hours=1)) == START + timedelta(hours=1)
    assert rotated_expiry(KEY, START, 90 * DAY) == KEY.expires_at


def test_scopes_that_no_rpc_asks_for_are_named() -> None:
    assert unknown_scopes(["a.read", "z", "b.write", "z"], frozenset({"a.read"})) == ["b.write", "z"]


@pytest.mark.parametrize("needed", MemberRole)
@pytest.mark.parametrize("role", MemberRole)
def test_a_higher_role_may_do_what_a_lower_one_may(role: MemberRole, needed: MemberRole) -> None:
    if role.value >= needed.value:
        demand(role, needed)
        return
    with pytest.raises(MemberRoleTooLow, match=needed.name.lower()):
        demand(role, needed)


def test_a_mask_chooses_what_changes_of_an_organization() -> None:
    values = {"name": " New ", "description": ""}
    assert organization_changes(values, []) == {"name": "New"}
    assert organization_changes(values, ["description"]) == {"description": ""}
    assert organization_changes(values, ["*"]) == {"name": "New", "description": ""}
    with pytest.raises(FieldNotUpdatable):
        organization_changes(values, ["name", "id"])
    with pytest.raises(InvalidFields):
        organization_changes({"name": " ", "description": ""}, ["name"])
