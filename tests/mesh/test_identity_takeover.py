"""Look-alike addresses and names, and accounts that somebody made with an address of somebody else."""

from uuid import uuid4

import pytest

from tests.support.callers import PASSWORD, Edge, refusal
from tests.support.mailbox import Mailbox, verify
from tests.support.polling import until
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD, RunningMesh

AUTH = "/api/v1/auth"
NEW = "staple battery correct"


@pytest.fixture
def mailbox(mesh: RunningMesh) -> Mailbox:
    """The mails of the house."""
    return Mailbox(mesh.home)


async def test_a_code_for_one_address_opens_no_account_of_another(edge: Edge, mailbox: Mailbox) -> None:
    name = f"victim-{uuid4().hex[:10]}"
    victim = await edge.register(username=name, email=f"{name}@fass.test")
    attacker = await edge.register(username=f"{name}-x", email=f"{name}@fa\u00df.test")
    shown = {"email": f"{name}@FA\u00df.test", "code": mailbox.code(f"{name}@xn--fa-hia.test")}
    assert (await edge.http.post(f"{AUTH}/verify-email", json=shown)).status_code == 200
    await edge.http.post(f"{AUTH}/forgot-password", json={"email": f"{name}@fa\u00df.test"})
    code = mailbox.code(f"{name}@xn--fa-hia.test", 2)
    body = {"email": f"{name}@fass.test", "code": code, "password": NEW}
    refusal(await edge.http.post(f"{AUTH}/reset-password", json=body), 400, 3, reason="INVALID_CODE")
    assert await edge.sign_in(name, PASSWORD)
    assert (
        await edge.http.post(f"{AUTH}/reset-password", json=body | {"email": attacker.user["email"]})
    ).status_code == 200
    assert (await edge.person(f"{name}-x", NEW)).id == attacker.id != victim.id


async def test_an_address_and_a_name_are_taken_however_they_are_spelled(edge: Edge) -> None:
    name = f"ann-{uuid4().hex[:10]}"
    await edge.register(username=f"{name}.mail", email=f"{name}@b\u00fccher.test")
    for number, email in enumerate(
        (f"{name.upper()}@xn--bcher-kva.test", f"{name}@bu\u0308cher.TEST", f"{name}@B\u00dcCHER.test")
    ):
        wanted = {"email": email, "username": f"{name}-{number}", "password": PASSWORD}
        refusal(await edge.http.post(f"{AUTH}/register", json=wanted), 409, 6, reason="EMAIL_TAKEN")
    for number, username in enumerate((f"{name}.MAIL", f"{name}.mai1", f"{name}.maiI", f"{name}.rnail")):
        wanted = {"email": f"{name}-{number}@x.test", "username": username, "password": PASSWORD}
        refusal(await edge.http.post(f"{AUTH}/register", json=wanted), 409, 6, reason="USERNAME_TAKEN")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("username", "\u0430dmin-of-all"),
        ("username", "adm\u0130n-of-all"),
        ("username", "ad\u00admin-of-all"),
        ("username", "\uff41dmin-of-all"),
        ("email", "vic\u200dtim@x.test"),
        ("email", "stra\u00dfe@x.test"),
        ("email", '"vic tim"@x.test'),
        ("email", "a0,victim@x.test"),
        ("email", "a..b@x.test"),
        ("email", "a@x.test."),
        ("email", "a@x"),
    ],
)
async def test_what_can_be_mistaken_for_another_is_refused_by_field(edge: Edge, field: str, value: str) -> None:
    wanted = {"email": f"{uuid4().hex}@x.test", "username": uuid4().hex, "password": PASSWORD} | {field: value}
    refusal(await edge.http.post(f"{AUTH}/register", json=wanted), 400, 3, field=field)


async def test_an_account_is_one_count_of_wrong_passwords_however_it_is_spelled(edge: Edge) -> None:
    name = f"ann-{uuid4().hex[:10]}"
    await edge.register(username=name, email=f"{name}@x.test")
    spelled = (name, name.upper(), f"{name}@x.test", f"\uff41{name[1:]}@X.test.", f" {name}@\uff58.test")
    for login in spelled * 2:
        response = await edge.http.post(f"{AUTH}/login", json={"login": login, "password": "wrong"})
        refusal(response, 401, 16, reason="INVALID_CREDENTIALS")
    for login in spelled:
        response = await edge.http.post(f"{AUTH}/login", json={"login": login, "password": PASSWORD})
        refusal(response, 429, 8, reason="TOO_MANY_ATTEMPTS")


async def test_an_address_is_one_count_of_mails_however_it_is_spelled(edge: Edge) -> None:
    name = f"ann-{uuid4().hex[:10]}"
    spelled = (f"{name}@b\u00fccher.test", f"{name.upper()}@bu\u0308cher.test", f"{name}@XN--bcher-kva.test")
    answers = [await edge.http.post(f"{AUTH}/forgot-password", json={"email": email}) for email in spelled * 2]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]


async def test_who_proves_the_address_gets_it_and_nothing_of_who_registered_it(
    edge: Edge, mailbox: Mailbox, mesh: RunningMesh
) -> None:
    email = f"victim-{uuid4().hex[:10]}@x.test"
    squatter = await edge.register(email=email)
    mailbox.wait_for(email)
    made = await squatter.post("/api/v1/organizations", name=f"Trap {uuid4().hex}")
    conversation = await squatter.open_conversation()
    # The owner of the address registers too, hears that it is taken, and finds a code in the mail.
    wanted = {"email": email.upper(), "username": f"owner-{uuid4().hex[:8]}", "password": NEW}
    refusal(await edge.http.post(f"{AUTH}/register", json=wanted), 409, 6, reason="EMAIL_TAKEN")
    body = {"email": email, "code": mailbox.code(email, 2), "password": NEW}
    assert (await edge.http.post(f"{AUTH}/reset-password", json=body)).status_code == 200
    refusal(await squatter.ask("GET", f"{AUTH}/me"), 401, 16)
    refreshed = await edge.http.post(f"{AUTH}/refresh", json={"refreshToken": squatter.tokens["refreshToken"]})
    refusal(refreshed, 401, 16, reason="INVALID_REFRESH_TOKEN")
    for login in (email, squatter.user["username"]):
        response = await edge.http.post(f"{AUTH}/login", json={"login": login, "password": PASSWORD})
        refusal(response, 401, 16, reason="INVALID_CREDENTIALS")
    owner = await edge.person(email, NEW)
    assert owner.id != squatter.id
    assert owner.user["emailVerified"]
    assert owner.user["username"].startswith("victim-")
    assert owner.user["organizationId"] == ""
    refusal(await owner.ask("GET", conversation), 404, 5)
    assert (await owner.get("/api/v1/chat/conversations"))["conversations"] == []
    admin = await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD)
    left = await admin.get(f"/api/v1/users/{squatter.id}")
    assert (left["email"], left["isActive"]) == ("", False)
    # Even an administrator who enables the old user by mistake lets nobody in.
    await admin.post(f"/api/v1/admin/users/{squatter.id}:enable")
    for login in (email, squatter.user["username"]):
        response = await edge.http.post(f"{AUTH}/login", json={"login": login, "password": PASSWORD})
        refusal(response, 401, 16, reason="INVALID_CREDENTIALS")
    refusal(await owner.ask("GET", f"/api/v1/organizations/{made['id']}"), 404, 5, reason="ORGANIZATION_NOT_FOUND")


async def test_who_proves_the_address_chooses_a_username(edge: Edge, mailbox: Mailbox) -> None:
    email = f"victim-{uuid4().hex[:10]}@x.test"
    squatter, other = await edge.register(email=email), await edge.register()
    name = squatter.user["username"]
    mailbox.wait_for(email)
    for number, (wanted, status) in enumerate(((other.user["username"], 409), (name, 200)), start=2):
        await edge.http.post(f"{AUTH}/forgot-password", json={"email": email})
        body = {"email": email, "code": mailbox.code(email, number), "password": NEW, "username": wanted}
        assert (await edge.http.post(f"{AUTH}/reset-password", json=body)).status_code == status
    owner = await edge.person(name, NEW)
    assert (owner.user["email"], owner.user["username"]) == (email, name)
    assert owner.id != squatter.id


async def test_a_mail_to_an_unproven_address_says_who_registered(edge: Edge, mailbox: Mailbox) -> None:
    email, name = f"victim-{uuid4().hex[:10]}@x.test", f"www.{uuid4().hex}.com"
    await edge.register(email=email, username=name)
    await edge.http.post(f"{AUTH}/forgot-password", json={"email": email})
    mailbox.wait_for(email, 2)
    for text in mailbox.texts(email):
        said = " ".join(text.split())
        assert f"under the username “{name.replace('.', ' ')}”" in said
        assert name not in said


async def test_a_proven_address_is_not_offered_to_who_registers_it(
    edge: Edge, mailbox: Mailbox, mesh: RunningMesh
) -> None:
    person = await verify(await edge.register(), mesh.home)
    wanted = {"email": person.user["email"], "username": uuid4().hex, "password": NEW}
    refusal(await edge.http.post(f"{AUTH}/register", json=wanted), 409, 6, reason="EMAIL_TAKEN")
    await edge.http.post(f"{AUTH}/forgot-password", json={"email": person.user["email"]})
    mailbox.wait_for(person.user["email"], 2)
    assert len(mailbox.texts(person.user["email"])) == 2


async def test_a_reset_ends_sessions_and_keys_and_keeps_what_is_the_users(
    edge: Edge, mailbox: Mailbox, mesh: RunningMesh
) -> None:
    ada = await verify(await edge.register(), mesh.home)
    email = ada.user["email"]
    made = await ada.post("/api/v1/organizations", name=f"School {uuid4().hex}")
    secret = (await ada.post("/api/v1/api-keys", name="ci", scopes=["conversations.read"]))["secret"]
    shown = {"authorization": f"Bearer {secret}"}
    assert (await edge.http.get("/api/v1/chat/conversations", headers=shown)).status_code == 200
    await edge.http.post(f"{AUTH}/forgot-password", json={"email": email})
    until(lambda: len(mailbox.codes(email)) == 2, seconds=15, what="the code")
    body = {"email": email, "code": mailbox.codes(email)[1], "password": NEW}
    assert (await edge.http.post(f"{AUTH}/reset-password", json=body)).status_code == 200
    refusal(await edge.http.get("/api/v1/chat/conversations", headers=shown), 401, 16)
    refusal(await ada.ask("GET", f"{AUTH}/me"), 401, 16)
    again = await edge.person(email, NEW)
    assert again.user["organizationId"] == made["id"]
    assert (await again.get("/api/v1/api-keys"))["apiKeys"] == []
