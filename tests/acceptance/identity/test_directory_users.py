"""What the users of every Directory do."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from services.chassis.errors import InvalidFields
from services.identity.errors import EmailTaken, InvalidCredentials, UsernameTaken, UserNotFound
from services.identity.ports.directory import Directory
from services.identity.rules.users import User, UserQuery
from tests.acceptance.identity.conftest import PASSWORD, newcomer

OTHER_PASSWORD = "staple battery correct"


async def test_a_new_user_is_found_by_id_address_and_name_in_any_case(directory: Directory) -> None:
    new = newcomer()
    user = await directory.users.create(new)
    assert (user.email, user.username, user.display_name) == (new.email, new.username, new.display_name)
    assert (user.native_language, user.target_language, user.level) == ("vi", "en", "beginner")
    assert user.roles == {"user"}
    assert (user.is_active, user.email_verified) == (True, False)
    assert user.organization_id is None
    assert await directory.users.get(user.user_id) == user
    assert await directory.users.by_email(new.email.upper()) == user
    assert await directory.users.by_username(new.username.upper()) == user


async def test_nobody_is_found_where_nobody_is(directory: Directory) -> None:
    nobody, name = uuid4(), f"nobody-{uuid4().hex}"
    assert await directory.users.get(nobody) is None
    assert await directory.users.by_email(f"{name}@example.com") is None
    assert await directory.users.by_username(name) is None
    assert await directory.users.change_profile(nobody, {"level": "b1"}) is None
    assert await directory.users.verify_email(nobody) is None
    assert await directory.users.set_active(nobody, is_active=False) is None
    assert await directory.users.grant_role(nobody, "teacher") is None
    assert await directory.users.revoke_role(nobody, "teacher") is None
    assert not await directory.users.password_matches(nobody, PASSWORD)
    with pytest.raises(UserNotFound):
        await directory.users.set_password(nobody, OTHER_PASSWORD)


async def test_addresses_and_usernames_are_unique_in_any_case(directory: Directory) -> None:
    first = await directory.users.create(newcomer())
    with pytest.raises(EmailTaken):
        await directory.users.create(newcomer(email=first.email.upper()))
    with pytest.raises(UsernameTaken):
        await directory.users.create(newcomer(username=first.username.upper()))


async def test_of_two_who_register_at_once_one_wins(directory: Directory) -> None:
    new = newcomer()
    results = await asyncio.gather(*(directory.users.create(new) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, User) for one in results) == 1
    assert all(isinstance(one, User | EmailTaken | UsernameTaken) for one in results), results


async def test_the_profile_changes_and_stays_changed(directory: Directory) -> None:
    user = await directory.users.create(newcomer())
    wanted = {
        "display_name": "Ann Ü.",
        "avatar_url": "https://example.org/a.png",
        "native_language": "de",
        "target_language": "vi",
        "level": "b2",
    }
    changed = await directory.users.change_profile(user.user_id, wanted)
    assert changed is not None
    assert {name: getattr(changed, name) for name in wanted} == wanted
    assert (changed.email, changed.username, changed.created_at) == (user.email, user.username, user.created_at)
    assert await directory.users.get(user.user_id) == changed
    emptied = await directory.users.change_profile(user.user_id, {"avatar_url": ""})
    assert emptied is not None
    assert (emptied.avatar_url, emptied.level) == ("", "b2")


async def test_the_address_is_marked_as_verified(directory: Directory) -> None:
    user = await directory.users.create(newcomer())
    changed = await directory.users.verify_email(user.user_id)
    assert changed is not None
    assert changed.email_verified
    found = await directory.users.get(user.user_id)
    assert found is not None
    assert found.email_verified


async def test_a_password_is_checked_and_replaced(directory: Directory) -> None:
    user = await directory.users.create(newcomer())
    assert await directory.users.password_matches(user.user_id, PASSWORD)
    assert not await directory.users.password_matches(user.user_id, OTHER_PASSWORD)
    await directory.users.set_password(user.user_id, OTHER_PASSWORD)
    assert await directory.users.password_matches(user.user_id, OTHER_PASSWORD)
    with pytest.raises(InvalidCredentials):
        await directory.sessions.sign_in(user.username, PASSWORD)
    assert (await directory.sessions.sign_in(user.username, OTHER_PASSWORD)).access_token


async def test_checking_a_password_opens_no_session(directory: Directory) -> None:
    user = await directory.users.create(newcomer())
    assert await directory.users.password_matches(user.user_id, PASSWORD)
    assert await directory.sessions.of_user(user.user_id) == []


async def test_roles_come_and_go_once(directory: Directory) -> None:
    user = await directory.users.create(newcomer())
    for _ in range(2):
        granted = await directory.users.grant_role(user.user_id, "teacher")
        assert granted is not None
        assert granted.roles == {"user", "teacher"}
    for _ in range(2):
        revoked = await directory.users.revoke_role(user.user_id, "teacher")
        assert revoked is not None
        assert revoked.roles == {"user"}


async def test_a_user_may_have_roles_from_the_start(directory: Directory) -> None:
    new = newcomer()
    user = await directory.users.create(
        type(new)(new.email, new.username, new.password, new.display_name, frozenset({"auditor"}))
    )
    assert user.roles == {"user", "auditor"}
    assert await directory.users.get(user.user_id) == user


async def everybody(directory: Directory, query: UserQuery, size: int) -> list[User]:
    """Walk a list to its end."""
    page = await directory.users.page(query, "", size)
    found = list(page.items)
    while page.cursor:
        page = await directory.users.page(query, page.cursor, size)
        found.extend(page.items)
    return found


async def test_a_list_is_walked_page_by_page_without_gap_or_repetition(directory: Directory) -> None:
    mark = f"walk{uuid4().hex[:12]}"
    made = [await directory.users.create(newcomer(username=f"{mark}-{number}")) for number in range(5)]
    for size in (1, 2, 5, 50):
        found = await everybody(directory, UserQuery(text=mark), size)
        assert len(found) == 5
        assert {user.user_id for user in found} == {user.user_id for user in made}
        first = await directory.users.page(UserQuery(text=mark), "", size)
        assert len(first.items) == min(size, 5)


async def test_a_list_is_filtered_by_text_role_and_state(directory: Directory) -> None:
    mark = f"find{uuid4().hex[:12]}"
    by_email = await directory.users.create(newcomer(email=f"{mark}@example.org"))
    teacher = await directory.users.create(newcomer(username=f"{mark}.teacher"))
    disabled = await directory.users.create(newcomer(username=f"{mark}.gone"))
    await directory.users.grant_role(teacher.user_id, "teacher")
    await directory.users.set_active(disabled.user_id, is_active=False)

    async def ids(query: UserQuery) -> set[object]:
        return {user.user_id for user in await everybody(directory, query, 50)}

    everyone = {by_email.user_id, teacher.user_id, disabled.user_id}
    assert await ids(UserQuery(text=mark.upper())) == everyone
    assert await ids(UserQuery(text=mark, role="teacher")) == {teacher.user_id}
    assert await ids(UserQuery(text=mark, is_active=False)) == {disabled.user_id}
    assert await ids(UserQuery(text=mark, is_active=True)) == everyone - {disabled.user_id}
    assert await ids(UserQuery(text=f"{mark}%")) == set()


async def test_a_user_is_found_however_the_address_and_the_name_are_spelled(directory: Directory) -> None:
    name = f"ann-{uuid4().hex}"
    user = await directory.users.create(newcomer(username=name.upper(), email=f"{name.title()}@B\u00dcCHER.test"))
    for email in (f"{name}@b\u00fccher.test", f" {name.upper()}@xn--bcher-kva.TEST.", f"{name}@bu\u0308cher.test"):
        found = await directory.users.by_email(email)
        assert found is not None
        assert found.user_id == user.user_id == await directory.users.find(email)
        with pytest.raises(EmailTaken):
            await directory.users.create(newcomer(email=email.strip().rstrip(".")))
        assert (await directory.sessions.sign_in(email, PASSWORD)).access_token
    for username in (name, f"\uff21{name[1:].upper()}", f" {name}\u200d"):
        assert await directory.users.find(username) == user.user_id
        assert (await directory.sessions.sign_in(username, PASSWORD)).access_token
    assert await directory.users.find(f"{name}@bucher.test") is None
    assert await directory.users.find(f"\u0430{name[1:]}") is None


async def test_names_that_look_alike_are_refused(directory: Directory) -> None:
    name = f"modem-{uuid4().hex}"
    await directory.users.create(newcomer(username=f"{name}-l0l"))
    for username in (f"{name}-1o1", f"{name}-l0L", f"rn{name[1:]}-l0l"):
        with pytest.raises(UsernameTaken):
            await directory.users.create(newcomer(username=username))
    first = await directory.users.create(newcomer(username=f"{name}-x"))
    with pytest.raises(EmailTaken):
        await directory.users.create(newcomer(username=f"{name}-y", email=first.email))


@pytest.mark.parametrize(
    "wanted",
    [
        {"email": "a..b@x.test"},
        {"email": "stra\u00dfe@x.test"},
        {"email": "vic\u200dtim@x.test"},
        {"username": "\u0430dmin-of-all"},
        {"username": "victim@x.test"},
    ],
)
async def test_what_can_be_mistaken_is_not_kept(directory: Directory, wanted: dict[str, str]) -> None:
    with pytest.raises(InvalidFields) as refused:
        await directory.users.create(newcomer(**wanted))
    assert [field for field, _ in refused.value.violations] == list(wanted)


async def test_a_user_with_an_unverified_address_is_replaced(directory: Directory) -> None:
    old = await directory.users.create(newcomer())
    new = replace(newcomer(), email=old.email, password=OTHER_PASSWORD)
    made = await directory.users.replace_unverified(old.user_id, new)
    assert made.user_id != old.user_id
    assert (made.email, made.username, made.is_active, made.email_verified) == (old.email, new.username, True, True)
    assert await directory.users.by_email(old.email) == made
    assert (await directory.sessions.sign_in(old.email, OTHER_PASSWORD)).user_id == str(made.user_id)
    left = await directory.users.get(old.user_id)
    assert left is not None
    assert (left.email, left.is_active, left.email_verified) == ("", False, False)
    for login in (old.email, old.username):
        with pytest.raises(InvalidCredentials):
            await directory.sessions.sign_in(login, PASSWORD)


async def test_a_user_who_was_replaced_or_verified_is_not_replaced(directory: Directory) -> None:
    old, verified = [await directory.users.create(newcomer()) for _ in range(2)]
    await directory.users.verify_email(verified.user_id)
    await directory.users.replace_unverified(old.user_id, replace(newcomer(), email=old.email, password=OTHER_PASSWORD))
    for user in (old, verified):
        with pytest.raises(UserNotFound):
            await directory.users.replace_unverified(
                user.user_id, replace(newcomer(), email=user.email, password=OTHER_PASSWORD)
            )
    assert await directory.users.by_email(verified.email) is not None


async def test_a_user_keeps_the_address_when_the_new_one_cannot_be_made(directory: Directory) -> None:
    old, other = [await directory.users.create(newcomer()) for _ in range(2)]
    for taken in (other.username, other.username.replace("a", "A")):
        with pytest.raises(UsernameTaken):
            await directory.users.replace_unverified(old.user_id, replace(newcomer(), email=old.email, username=taken))
        assert await directory.users.by_email(old.email) == old
