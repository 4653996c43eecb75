"""The administrator that the settings name."""

import pytest

from services.identity.errors import InvalidCredentials, StartRefused, UsernameTaken
from services.identity.rules.users import username_of
from tests.services.identity.house import PASSWORD, House


async def test_the_administrator_is_made_once(house: House) -> None:
    for _ in range(2):
        await house.admins(strict=True).make("boss@example.com", PASSWORD, "")
    (stored,) = house.transactions.state.users.values()
    assert stored.user.roles == {"user", "admin"}
    assert stored.user.username == "boss"
    assert stored.user.email_verified
    assert await house.sign_in("boss", PASSWORD)


async def test_an_existing_user_is_promoted_and_keeps_the_password(house: House) -> None:
    user = await house.ann()
    house.transactions.change_user(user.user_id, email_verified=True)
    await house.admins(strict=True).make("ANN@example.com", "another password", "")
    assert (await house.users.get(str(user.user_id))).roles == {"user", "admin"}
    assert await house.sign_in("ann", PASSWORD)


async def test_who_registered_the_address_before_and_has_not_proven_it_is_out(house: House) -> None:
    squatter = await house.ann()
    pair = await house.sign_in("ann", PASSWORD)
    # It does not help to have the administrator's name, too.
    for password in ("the password of the settings", "another password"):
        await house.admins(strict=True).make("Ann@example.com", password, "ann")
        stored = await house.directory_users.by_email("ann@example.com")
        assert stored is not None
        assert stored.user_id != squatter.user_id
        assert (stored.username, stored.roles, stored.email_verified) == ("ann", frozenset({"user", "admin"}), True)
        old = await house.users.get(str(squatter.user_id))
        assert (old.email, old.roles, old.is_active) == ("", frozenset({"user"}), False)
        assert house.ended.announced == [house.session_of(pair)]
        with pytest.raises(InvalidCredentials):
            await house.sign_in("ann", PASSWORD)
        assert await house.sign_in("ann", "the password of the settings")


async def test_without_settings_there_is_none(house: House) -> None:
    await house.admins(strict=True).make("", "", "")
    assert house.transactions.state.users == {}


@pytest.mark.parametrize(("email", "password"), [("boss@example.com", ""), ("", PASSWORD)])
async def test_half_of_the_settings_stops_the_start(house: House, email: str, password: str) -> None:
    with pytest.raises(StartRefused, match="both or neither"):
        await house.admins(strict=False).make(email, password, "")


@pytest.mark.parametrize(
    "password", ["admin", "Admin123", "changeme", "PASSWORD", "secret", "short", "boss@example.com"]
)
async def test_a_password_that_can_be_guessed_is_for_development_only(house: House, password: str) -> None:
    with pytest.raises(StartRefused, match="PARLEY_IDENTITY_ADMIN_PASSWORD") as caught:
        await house.admins(strict=True).make("boss@example.com", password, "")
    assert "\n" not in str(caught.value)
    assert house.transactions.state.users == {}
    await house.admins(strict=False).make("boss@example.com", password, "")
    assert await house.sign_in("boss", password)


async def test_a_taken_username_is_told(house: House) -> None:
    await house.ann()
    with pytest.raises(UsernameTaken):
        await house.admins(strict=True).make("boss@example.com", PASSWORD, "ann")


@pytest.mark.parametrize(
    ("email", "username"), [("boss@x.vn", "boss"), ("a+b@x.vn", "a-b"), ("é@x.vn", "admin"), ("a@x.vn", "admin")]
)
def test_the_username_comes_from_the_address(email: str, username: str) -> None:
    assert username_of(email) == username
