"""The whole service: a real server with all interceptors, real PostgreSQL, Valkey and keys, driven by typed stubs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import bcrypt
import grpc
import jwt
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from parley.identity.v1 import auth_service_pb2 as auth_pb
from parley.identity.v1 import auth_service_pb2_grpc as auth_grpc
from parley.identity.v1 import discovery_service_pb2 as discovery_pb
from parley.identity.v1 import discovery_service_pb2_grpc as discovery_grpc
from parley.identity.v1 import organization_service_pb2_grpc as organization_grpc
from parley.identity.v1 import user_pb2
from parley.identity.v1 import user_service_pb2 as user_pb
from parley.identity.v1 import user_service_pb2_grpc as user_grpc
from redis.asyncio import Redis
from sqlalchemy import select, update

from services.chassis.database import Database
from services.chassis.events.opening import open_bus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.identifiers import new_id
from services.chassis.interceptors.client_address import METADATA_KEY
from services.chassis.jobs import open_publisher
from services.chassis.pagination import PageTokens
from services.chassis.resources import Resources
from services.chassis.serving import build_server
from services.chassis.settings import ChassisSettings
from services.identity.backends.tables import USERS
from services.identity.wiring import assemble
from tests.acceptance.identity.key_set_server import serving_key_set
from tests.support.stores import free_port

SECRET = "s" * 32
PASSWORD = "correct horse battery"
ISSUER = "http://edge.test"


def _somewhere() -> tuple[tuple[str, str], ...]:
    """Return what shows a network address that nobody else has: attempts are counted by it."""
    number = new_id().int
    return ((METADATA_KEY, f"2001:db8:{number >> 32 & 0xFFFF:x}:{number >> 16 & 0xFFFF:x}::1"),)


@dataclass
class Client:
    """The typed stubs of one server."""

    auth: "auth_grpc.AuthServiceAsyncStub"
    users: "user_grpc.UserServiceAsyncStub"
    discovery: "discovery_grpc.DiscoveryServiceAsyncStub"
    organizations: "organization_grpc.OrganizationServiceAsyncStub"

    async def register(self) -> user_pb2.User:
        """Have a new user register."""
        name = f"Ann-{new_id().hex}"
        request = auth_pb.RegisterRequest(email=f"{name}@Example.com", username=name, password=PASSWORD)
        return (await self.auth.Register(request, metadata=_somewhere())).user

    async def sign_in(self, login: str, password: str = PASSWORD) -> auth_pb.LoginResponse:
        return await self.auth.Login(auth_pb.LoginRequest(login=login, password=password), metadata=_somewhere())

    async def refresh(self, token: str, agent: str = "a tab") -> auth_pb.RefreshResponse:
        metadata = (("grpcgateway-user-agent", agent),)
        return await self.auth.Refresh(auth_pb.RefreshRequest(refresh_token=token), metadata=metadata)

    async def me(self, access_token: str) -> user_pb2.User:
        return (await self.auth.GetMe(auth_pb.GetMeRequest(), metadata=bearer(access_token))).user

    async def logout(self, access_token: str) -> None:
        await self.auth.Logout(auth_pb.LogoutRequest(), metadata=bearer(access_token))


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@asynccontextmanager
async def running(database: Database, valkey: Redis, home: Path, **limits: int) -> AsyncIterator[Client]:
    """Serve identity on a free port; `limits` are settings of it."""
    published = b""
    with serving_key_set(lambda: published) as jwks_url:
        settings = ChassisSettings(home=home, secret=SECRET, issuer=ISSUER, jwks_url=jwks_url)  # type: ignore[arg-type]
        mesh = cast("grpc.aio.Channel", SimpleNamespace())
        subscriptions = Subscriptions(open_publisher(settings))
        resources = Resources(
            settings, database, valkey, mesh, PageTokens(SECRET), open_bus("", subscriptions), subscriptions
        )
        with pytest.MonkeyPatch.context() as environment:
            # All the people of these tests come from one address.
            for name, value in (
                {"ATTEMPTS_PER_ADDRESS": 1_000_000, "MAILS_PER_CLIENT_PER_HOUR": 1_000_000} | limits
            ).items():
                environment.setenv(f"PARLEY_IDENTITY_{name}", str(value))
            module = await assemble(resources)
        await module.prepare()
        server, _, _ = build_server([module], resources)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            client = Client(
                auth_grpc.AuthServiceStub(channel),
                user_grpc.UserServiceStub(channel),
                discovery_grpc.DiscoveryServiceStub(channel),
                organization_grpc.OrganizationServiceStub(channel),
            )
            published = (await client.discovery.GetJsonWebKeySet(discovery_pb.GetJsonWebKeySetRequest())).data
            yield client
        await server.stop(None)
        await module.close()


@pytest.fixture(scope="module")
async def client(database: Database, valkey: Redis, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A client of one server for all tests here."""
    async with running(database, valkey, tmp_path_factory.mktemp("home")) as client:
        yield client


async def failure(call: Awaitable[Any]) -> tuple[str, str, dict[str, str]]:
    """Return code, reason and metadata of a call that must fail."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(cast("grpc.Call", caught.value))
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return caught.value.code().name, info.reason, dict(info.metadata)


async def test_the_road_of_a_session(client: Client) -> None:
    user = await client.register()
    assert (user.native_language, user.target_language, list(user.roles)) == ("vi", "en", ["user"])
    first = await client.sign_in(user.email.upper())
    assert (first.token_type, first.expires_in) == ("Bearer", 1800)
    assert await client.me(first.access_token) == user
    second = await client.refresh(first.refresh_token)
    assert await client.me(second.access_token) == user
    code, reason, _ = await failure(client.refresh(first.refresh_token, "another"))
    assert (code, reason) == ("UNAUTHENTICATED", "REFRESH_TOKEN_REUSED")
    # The whole family is dead, access tokens included.
    for access_token in (first.access_token, second.access_token):
        assert (await failure(client.me(access_token)))[0] == "UNAUTHENTICATED"
    assert (await failure(client.refresh(second.refresh_token)))[1] == "INVALID_REFRESH_TOKEN"


async def test_the_lifetimes_of_the_settings_hold(
    database: Database, valkey: Redis, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lifetimes = {"ACCESS_TOKEN_SECONDS": 77, "REFRESH_TOKEN_SECONDS": 1234}
    async with running(database, valkey, tmp_path_factory.mktemp("home"), **lifetimes) as client:
        user = await client.register()
        first = await client.sign_in(user.username)
        second = await client.refresh(first.refresh_token)
        for pair in (first, second):
            claims = jwt.decode(pair.access_token, options={"verify_signature": False})
            assert (pair.expires_in, claims["exp"] - claims["iat"]) == (77, 77)
        request = auth_pb.ListSessionsRequest()
        (session,) = (await client.auth.ListSessions(request, metadata=bearer(second.access_token))).sessions
        assert session.expire_time.seconds - session.last_use_time.seconds == 1234
        await client.logout(second.access_token)
        # For as long as one of its access tokens could be good, and not for ever.
        assert 77 <= await valkey.ttl(f"revoked-session:{claims['sid']}") <= 77 + 60


async def test_logout_ends_one_session_at_once(client: Client) -> None:
    user = await client.register()
    one, other = await client.sign_in(user.username), await client.sign_in(user.username)
    await client.logout(one.access_token)
    assert (await failure(client.me(one.access_token)))[:2] == ("UNAUTHENTICATED", "UNAUTHENTICATED")
    assert (await failure(client.logout(one.access_token)))[0] == "UNAUTHENTICATED"
    assert (await failure(client.refresh(one.refresh_token)))[1] == "INVALID_REFRESH_TOKEN"
    assert await client.me(other.access_token) == user


async def test_of_refreshes_at_once_one_wins_and_the_session_ends(client: Client) -> None:
    user = await client.register()
    pair = await client.sign_in(user.username)
    results = await asyncio.gather(
        *(client.refresh(pair.refresh_token, agent) for agent in "abcdef"), return_exceptions=True
    )
    winners = [one for one in results if isinstance(one, auth_pb.RefreshResponse)]
    assert len(winners) == 1
    assert all(one.code() is grpc.StatusCode.UNAUTHENTICATED for one in results if isinstance(one, grpc.RpcError))
    assert (await failure(client.me(winners[0].access_token)))[0] == "UNAUTHENTICATED"


async def test_registering_at_once_is_never_an_internal_error(client: Client) -> None:
    name = f"race-{new_id().hex}"
    request = auth_pb.RegisterRequest(email=f"{name}@example.com", username=name, password=PASSWORD)
    results = await asyncio.gather(*(client.auth.Register(request) for _ in range(6)), return_exceptions=True)
    codes = [one.code().name for one in results if isinstance(one, grpc.aio.AioRpcError)]
    assert codes == ["ALREADY_EXISTS"] * 5
    code, reason, metadata = await failure(client.auth.Register(request))
    assert (code, reason, metadata) == ("ALREADY_EXISTS", "EMAIL_TAKEN", {"email": request.email})
    request.email = f"other-{request.email}"
    assert (await failure(client.auth.Register(request)))[1:] == ("USERNAME_TAKEN", {"username": name})


async def test_a_well_known_password_is_refused_by_name(client: Client) -> None:
    request = auth_pb.RegisterRequest(email="a@example.com", username="somebody", password="Password123")
    assert await failure(client.auth.Register(request)) == (
        "INVALID_ARGUMENT",
        "INVALID_FIELD",
        {"field": "password"},
    )


async def test_refused_logins_look_alike(client: Client, database: Database) -> None:
    user = await client.register()
    unknown = await failure(client.sign_in("nobody-at-all"))
    wrong = await failure(client.sign_in(user.username, "wrong password"))
    async with database.transaction() as connection:
        await connection.execute(update(USERS).where(USERS.c.username == user.username).values(is_active=False))
    disabled = await failure(client.sign_in(user.username))
    assert unknown == wrong == disabled == ("UNAUTHENTICATED", "INVALID_CREDENTIALS", {})


async def test_a_disabled_user_cannot_refresh(client: Client, database: Database) -> None:
    user = await client.register()
    pair = await client.sign_in(user.username)
    async with database.transaction() as connection:
        await connection.execute(update(USERS).where(USERS.c.username == user.username).values(is_active=False))
    assert (await failure(client.refresh(pair.refresh_token)))[1] == "INVALID_REFRESH_TOKEN"


async def test_an_imported_bcrypt_hash_becomes_argon2id(client: Client, database: Database) -> None:
    user = await client.register()
    imported = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    mine = USERS.c.username == user.username
    async with database.transaction() as connection:
        await connection.execute(update(USERS).where(mine).values(password_hash=imported))
    for _ in range(2):
        await client.sign_in(user.username)
    async with database.transaction() as connection:
        stored = await connection.scalar(select(USERS.c.password_hash).where(mine))
    assert stored is not None
    assert stored.startswith("$argon2id$")


async def test_the_profile_changes_as_the_mask_says(client: Client) -> None:
    user = await client.register()
    pair = await client.sign_in(user.username)
    metadata = bearer(pair.access_token)
    request = user_pb.UpdateCurrentUserRequest(
        user=user_pb2.User(display_name="Ann B.", level="advanced", email="x@example.com"),
        update_mask=FieldMask(paths=["level"]),
    )
    changed = (await client.users.UpdateCurrentUser(request, metadata=metadata)).user
    assert (changed.level, changed.display_name, changed.email) == ("advanced", user.username, user.email)
    request.update_mask.paths.append("email")
    assert await failure(client.users.UpdateCurrentUser(request, metadata=metadata)) == (
        "INVALID_ARGUMENT",
        "FIELD_NOT_UPDATABLE",
        {"field": "email"},
    )
    found = (await client.users.GetCurrentUser(user_pb.GetCurrentUserRequest(), metadata=metadata)).user
    assert found == changed


async def test_only_administrators_read_other_users(client: Client, database: Database) -> None:
    user = await client.register()
    request = user_pb.GetUserRequest(user_id=user.id)
    pair = await client.sign_in(user.username)
    refused = await failure(client.users.GetUser(request, metadata=bearer(pair.access_token)))
    assert refused[0] == "PERMISSION_DENIED"
    async with database.transaction() as connection:
        mine = USERS.c.username == user.username
        await connection.execute(update(USERS).where(mine).values(roles=["user", "admin"]))
    # Roles are read anew at every refresh.
    admin = bearer((await client.refresh(pair.refresh_token)).access_token)
    assert (await client.users.GetUser(request, metadata=admin)).user.id == user.id
    request.user_id = str(new_id())
    assert (await failure(client.users.GetUser(request, metadata=admin)))[:2] == ("NOT_FOUND", "USER_NOT_FOUND")


async def test_who_is_gone_is_not_signed_in(client: Client, database: Database) -> None:
    user = await client.register()
    pair = await client.sign_in(user.username)
    async with database.transaction() as connection:
        await connection.execute(USERS.delete().where(USERS.c.username == user.username))
    assert (await failure(client.me(pair.access_token)))[0] == "UNAUTHENTICATED"
    assert (await failure(client.refresh(pair.refresh_token)))[1] == "INVALID_REFRESH_TOKEN"


async def test_relying_parties_can_check_tokens(client: Client) -> None:
    user = await client.register()
    pair = await client.sign_in(user.username)
    metadata = await client.discovery.GetProviderMetadata(discovery_pb.GetProviderMetadataRequest())
    assert metadata.content_type == "application/json"
    provider = json.loads(metadata.data)
    assert provider["issuer"] == ISSUER
    assert provider["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    keys = jwt.PyJWKSet.from_json(
        (await client.discovery.GetJsonWebKeySet(discovery_pb.GetJsonWebKeySetRequest())).data.decode()
    )
    key = keys[jwt.get_unverified_header(pair.access_token)["kid"]]
    claims = jwt.decode(pair.access_token, key, algorithms=["RS256"], audience="parley", issuer=ISSUER)
    assert set(claims) | {"organization"} == set(provider["claims_supported"])
    assert claims["sub"] == user.id


async def test_without_valkey_nothing_is_pretended(database: Database, valkey: Redis, tmp_path: Path) -> None:
    async with running(database, valkey, tmp_path) as client:
        user = await client.register()
        pair = await client.sign_in(user.username)
        spent = await client.sign_in(user.username)
        second = await client.refresh(spent.refresh_token)
    async with Redis(port=free_port()) as nobody, running(database, nobody, tmp_path) as client:
        assert (await failure(client.logout(pair.access_token)))[0] == "UNAVAILABLE"
        assert (await failure(client.refresh(spent.refresh_token)))[0] == "UNAVAILABLE"
    async with running(database, valkey, tmp_path) as client:
        # The reuse ended its session in PostgreSQL all the same; asking again lets the rest of the house know.
        assert (await failure(client.refresh(second.refresh_token)))[1] == "INVALID_REFRESH_TOKEN"
        assert (await failure(client.me(second.access_token)))[0] == "UNAUTHENTICATED"
        await client.logout(pair.access_token)
        assert (await failure(client.me(pair.access_token)))[0] == "UNAUTHENTICATED"
