"""Registering, reading and changing users."""

from uuid import uuid4

import pytest

from services.chassis.errors import InvalidFields, Unauthenticated
from services.identity.errors import EmailTaken, FieldNotUpdatable, UsernameTaken, UserNotFound
from services.identity.rules.users import PROFILE_DEFAULTS
from tests.services.identity.house import PASSWORD, House

VALUES = dict.fromkeys(PROFILE_DEFAULTS, "")


async def test_a_new_user_has_the_defaults_and_the_address_as_given(house: House) -> None:
    user = await house.registering.register("Ann@Example.com", "Ann.B", PASSWORD, "  ")
    assert (user.email, user.username, user.display_name) == ("Ann@Example.com", "Ann.B", "Ann.B")
    assert (user.native_language, user.target_language, user.level) == ("vi", "en", "beginner")
    assert user.roles == {"user"}
    assert user.is_active
    assert await house.users.get(str(user.user_id)) == user


async def test_addresses_and_usernames_are_unique_without_regard_to_case(house: House) -> None:
    await house.ann()
    with pytest.raises(EmailTaken):
        await house.registering.register("ann@example.COM", "another", PASSWORD, "")
    with pytest.raises(UsernameTaken):
        await house.registering.register("another@example.com", "aNN", PASSWORD, "")


@pytest.mark.parametrize("password", ["Password123", "CHANGEME", "bob@example.com", "Bob@Example.com", "bob.builder"])
async def test_a_password_that_anybody_would_try_is_refused(house: House, password: str) -> None:
    with pytest.raises(InvalidFields) as caught:
        await house.registering.register("bob@example.com", "Bob.Builder", password, "")
    assert caught.value.violations[0][0] == "password"
    assert house.transactions.state.users == {}


async def test_only_what_the_mask_names_is_changed(house: House) -> None:
    user = await house.ann()
    house.clock.advance(hours=1)
    changed = await house.users.change(
        str(user.user_id), {**VALUES, "display_name": "New", "level": "advanced"}, ["level"]
    )
    assert (changed.display_name, changed.level) == ("Ann B.", "advanced")
    assert changed.updated_at == house.clock.now > changed.created_at


async def test_an_empty_mask_changes_what_is_not_empty(house: House) -> None:
    user = await house.ann()
    changed = await house.users.change(str(user.user_id), {**VALUES, "native_language": "de"}, [])
    assert (changed.native_language, changed.display_name) == ("de", "Ann B.")
    assert await house.users.change(str(user.user_id), VALUES, []) == changed


async def test_an_emptied_field_gets_its_default(house: House) -> None:
    user = await house.ann()
    await house.users.change(str(user.user_id), {**VALUES, "avatar_url": "https://a/b", "level": "expert"}, [])
    changed = await house.users.change(str(user.user_id), VALUES, ["display_name", "avatar_url"])
    assert (changed.display_name, changed.avatar_url, changed.level) == ("Ann", "", "expert")
    assert (await house.users.change(str(user.user_id), VALUES, ["*"])).level == "beginner"


@pytest.mark.parametrize("path", ["email", "roles", "is_active", "displayName", "nonsense", "user.level", ""])
async def test_other_fields_cannot_be_changed(house: House, path: str) -> None:
    user = await house.ann()
    with pytest.raises(FieldNotUpdatable) as caught:
        await house.users.change(str(user.user_id), {**VALUES, "level": "x"}, ["level", path])
    assert caught.value.fields == {"field": path}
    assert await house.users.get(str(user.user_id)) == user


async def test_who_is_gone_is_not_signed_in(house: House) -> None:
    for caller_id in (str(uuid4()), "auth0|1"):
        with pytest.raises(Unauthenticated):
            await house.users.current(caller_id)
        with pytest.raises(Unauthenticated):
            await house.users.change(caller_id, VALUES, [])
    with pytest.raises(UserNotFound):
        await house.users.get(str(uuid4()))
