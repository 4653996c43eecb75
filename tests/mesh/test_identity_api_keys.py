"""Programs call in their users' names with API keys.

What has a path with an id: ApiKeyService.RevokeApiKey and ApiKeyService.RotateApiKey.
"""

from typing import Any
from uuid import uuid4

import grpc
import pytest
from parley.conversations.v1 import conversation_service_pb2 as conversation_pb
from parley.conversations.v1 import conversation_service_pb2_grpc as conversation_grpc

from tests.support.callers import PASSWORD, Edge, Person, grpc_bearer, refusal
from tests.support.mailbox import verify
from tests.support.running_mesh import RunningMesh

KEYS = "/api/v1/api-keys"
CONVERSATIONS = "/api/v1/chat/conversations"
READ, WRITE = "conversations.read", "conversations.write"


@pytest.fixture
async def ada(ada: Person, mesh: RunningMesh) -> Person:
    """Somebody new who has verified the address: nobody else gets keys."""
    return await verify(ada, mesh.home)


def shown(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


async def test_a_key_is_shown_once_and_works_over_rest_and_grpc(edge: Edge, ada: Person) -> None:
    made = await ada.post(KEYS, name="ci", scopes=[READ, WRITE])
    secret, key = made["secret"], made["apiKey"]
    assert secret.startswith(f"{key['prefix']}_")
    assert (key["name"], key["scopes"], key["lastUseTime"]) == ("ci", [READ, WRITE], None)
    created = await edge.http.post(CONVERSATIONS, json={"title": "By key"}, headers=shown(secret))
    assert created.status_code == 200, created.text
    stub = conversation_grpc.ConversationServiceStub(edge.channel)
    listed = await stub.ListConversations(conversation_pb.ListConversationsRequest(), metadata=grpc_bearer(secret))
    assert [one.title for one in listed.conversations] == ["By key"]
    assert (await ada.get(f"{CONVERSATIONS}/{created.json()['id']}"))["title"] == "By key"
    (kept,) = (await ada.get(KEYS))["apiKeys"]
    assert kept["lastUseTime"] is not None
    assert kept | {"lastUseTime": None} == key
    assert secret not in str(kept)


async def test_who_has_not_verified_the_address_gets_no_key(edge: Edge, mesh: RunningMesh) -> None:
    person = await edge.register()
    wanted = {"name": "ci", "scopes": [READ]}
    refusal(await person.ask("POST", KEYS, json=wanted), 400, 9, reason="EMAIL_NOT_VERIFIED")
    await verify(person, mesh.home)
    assert (await person.post(KEYS, **wanted))["secret"]


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("path", ["change-password", "logout-everywhere"])
async def test_keys_end_with_the_sessions_unless_they_are_kept(edge: Edge, ada: Person, path: str, keep: bool) -> None:
    secrets = [(await ada.post(KEYS, name="ci", scopes=[READ]))["secret"] for _ in range(2)]
    for secret in secrets:
        assert (await edge.http.get(CONVERSATIONS, headers=shown(secret))).status_code == 200
    passwords = {"currentPassword": PASSWORD, "password": "staple battery correct"}
    wanted = (passwords if path == "change-password" else {}) | ({"keepApiKeys": True} if keep else {})
    await ada.post(f"/api/v1/auth/{path}", **wanted)
    for secret in secrets:
        answer = await edge.http.get(CONVERSATIONS, headers=shown(secret))
        assert answer.status_code == (200 if keep else 401), answer.text


async def test_a_key_does_what_its_scopes_say_and_nothing_else(edge: Edge, ada: Person, admin: Person) -> None:
    secret = (await ada.post(KEYS, name="reader", scopes=[READ]))["secret"]
    assert (await edge.http.get(CONVERSATIONS, headers=shown(secret))).status_code == 200
    for method, path in (("POST", CONVERSATIONS), ("GET", "/api/v1/auth/me"), ("GET", KEYS), ("POST", KEYS)):
        refused = await edge.http.request(method, path, headers=shown(secret), json=None if method == "GET" else {})
        refusal(refused, 403, 7, reason="PERMISSION_DENIED")
    # A key has none of its user's roles.
    admins = (await admin.post(KEYS, name="admin", scopes=[READ]))["secret"]
    refusal(await edge.http.get("/api/v1/admin/users", headers=shown(admins)), 403, 7, reason="PERMISSION_DENIED")


async def test_a_revoked_key_is_refused_at_once(edge: Edge, ada: Person, stranger: Person) -> None:
    made = await ada.post(KEYS, name="ci", scopes=[READ])
    assert (await edge.http.get(CONVERSATIONS, headers=shown(made["secret"]))).status_code == 200
    path = f"{KEYS}/{made['apiKey']['id']}"
    refusal(await stranger.ask("DELETE", path), 404, 5, field="api_key_id", reason="API_KEY_NOT_FOUND")
    assert await ada.delete(path) == {}
    refusal(await edge.http.get(CONVERSATIONS, headers=shown(made["secret"])), 401, 16)
    refusal(await ada.ask("DELETE", path), 404, 5, reason="API_KEY_NOT_FOUND")
    assert (await ada.get(KEYS))["apiKeys"] == []


async def test_both_keys_are_good_while_one_takes_the_others_place(edge: Edge, ada: Person, stranger: Person) -> None:
    old = await ada.post(KEYS, name="ci", scopes=[READ], days=30)
    path = f"{KEYS}/{old['apiKey']['id']}:rotate"
    refusal(await stranger.ask("POST", path, json={}), 404, 5, reason="API_KEY_NOT_FOUND")
    wanted = {"overlapSeconds": 3600, "requestId": str(uuid4())}
    new = await ada.post(path, **wanted)
    assert new["apiKey"]["scopes"] == [READ]
    for secret in (old["secret"], new["secret"]):
        assert (await edge.http.get(CONVERSATIONS, headers=shown(secret))).status_code == 200
    again = await ada.post(path, **wanted)
    assert (again["apiKey"]["id"], again["secret"]) == (new["apiKey"]["id"], "")
    listed = {key["id"]: key["expireTime"] for key in (await ada.get(KEYS))["apiKeys"]}
    assert set(listed) == {old["apiKey"]["id"], new["apiKey"]["id"]}
    assert listed[old["apiKey"]["id"]] < old["apiKey"]["expireTime"] < listed[new["apiKey"]["id"]]


async def test_the_keys_of_a_disabled_user_are_refused_at_once(edge: Edge, ada: Person, admin: Person) -> None:
    secret = (await ada.post(KEYS, name="ci", scopes=[READ]))["secret"]
    assert (await edge.http.get(CONVERSATIONS, headers=shown(secret))).status_code == 200
    await admin.post(f"/api/v1/admin/users/{ada.id}:disable")
    refusal(await edge.http.get(CONVERSATIONS, headers=shown(secret)), 401, 16)


@pytest.mark.parametrize("secret", ["pk_", "pk_nonsense", f"pk_{'0' * 10}_{'A' * 43}", f"pk_{'é' * 9}"])
async def test_what_is_no_key_is_refused(edge: Edge, secret: str) -> None:
    response = await edge.http.get(CONVERSATIONS, headers={b"authorization": f"Bearer {secret}".encode()})
    refusal(response, 401, 16, reason="UNAUTHENTICATED")


@pytest.mark.parametrize("scopes", [[], ["everything"], [READ, "identity.admin"]])
async def test_a_key_needs_scopes_that_there_are(ada: Person, scopes: list[str]) -> None:
    refusal(await ada.ask("POST", KEYS, json={"name": "ci", "scopes": scopes}), 400, 3, field="scopes")


async def test_a_repeated_request_makes_one_key(ada: Person) -> None:
    wanted = {"name": "ci", "scopes": [READ], "requestId": str(uuid4())}
    first, again = [await ada.post(KEYS, **wanted) for _ in range(2)]
    assert first["apiKey"] == again["apiKey"]
    assert again["secret"] == ""
    other = await ada.ask("POST", KEYS, json=wanted | {"name": "other"})
    refusal(other, 400, 3, field="request_id", reason="REQUEST_ID_REUSED")


async def test_the_edge_has_no_road_to_the_check_of_keys(edge: Edge, ada: Person) -> None:
    check: Any = edge.channel.unary_unary("/parley.identity.v1.ApiKeyService/CheckApiKey")
    for metadata in (ada.metadata, ()):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(b"", metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
