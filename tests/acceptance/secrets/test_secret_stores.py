"""What every source of secrets does, and what only Vault can do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import hvac
import pytest
from hvac.exceptions import Forbidden, InvalidRequest

from deploy.vault.hand_over import login
from services.chassis.secret_stores.environment import EnvironmentSecrets, variable_of
from services.chassis.secret_stores.vault import VaultSecrets
from services.chassis.secrets import SecretMissing, SecretStore, SecretsUnavailable
from services.chassis.vault import VaultSession, keep_session
from tests.acceptance.secrets.conftest import open_session
from tests.support.running_vault import RunningVault

Put = Callable[[str, str], Awaitable[None]]


@pytest.fixture(params=["environment", "vault"])
async def store_and_put(
    request: pytest.FixtureRequest, vault: RunningVault, session: VaultSession, tmp_path: Path
) -> AsyncIterator[tuple[SecretStore, Put]]:
    """A store that looks every 0.05 s, and how its operators set a secret."""
    if request.param == "environment":
        file = tmp_path / ".env"
        lines: dict[str, str] = {}

        async def put(name: str, value: str) -> None:
            lines[variable_of(name)] = value
            file.write_text("".join(f"{key}={text}\n" for key, text in lines.items()))

        yield SecretStore(EnvironmentSecrets(file), 0.05), put
        return
    operator = vault.operator()

    async def put_in_vault(name: str, value: str) -> None:
        await asyncio.to_thread(operator.secrets.kv.v2.create_or_update_secret, name, {"value": value})

    yield SecretStore(VaultSecrets(session), 0.05), put_in_vault


def _name() -> str:
    return f"inference/key-{uuid4().hex}"


async def test_a_secret_is_found_by_its_name(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    name = _name()
    await put(name, "first")
    found = await store.get(name)
    assert found.get_secret_value() == "first"
    assert "first" not in repr(found)


async def test_a_secret_that_nobody_set_is_missing(store_and_put: tuple[SecretStore, Put]) -> None:
    store, _ = store_and_put
    with pytest.raises(SecretMissing):
        await store.get(_name())


async def test_a_changed_secret_is_seen_by_who_watches(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    name = _name()
    await put(name, "first")
    watching = store.watch(name)
    assert (await anext(watching)).get_secret_value() == "first"
    fresh = asyncio.create_task(store.keep_fresh())
    await put(name, "second")
    async with asyncio.timeout(10):
        assert (await anext(watching)).get_secret_value() == "second"
    assert (await store.get(name)).get_secret_value() == "second"
    fresh.cancel()
    await asyncio.gather(fresh, return_exceptions=True)


async def test_a_changed_secret_is_read_at_once_when_asked(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    name = _name()
    await put(name, "first")
    await store.get(name)
    await put(name, "second")
    assert (await store.get(name)).get_secret_value() == "first"
    assert (await store.refresh(name)).get_secret_value() == "second"


async def test_while_vault_is_away_the_last_known_value_serves(vault: RunningVault, session: VaultSession) -> None:
    name = _name()
    vault.operator().secrets.kv.v2.create_or_update_secret(name, {"value": "kept"})
    store = SecretStore(VaultSecrets(session), 0.05)
    await store.get(name)
    await asyncio.to_thread(vault.server.stop)
    try:
        assert (await store.refresh(name)).get_secret_value() == "kept"
        with pytest.raises(SecretsUnavailable):
            await store.get(_name())
    finally:
        await asyncio.to_thread(vault.server.start)
    assert (await store.refresh(name)).get_secret_value() == "kept"


async def test_a_lost_token_is_replaced_by_a_new_login(vault: RunningVault, session: VaultSession) -> None:
    await session.call(lambda client: client.auth.token.lookup_self())
    await session.call(lambda client: client.auth.token.revoke_self())
    vault.hand_over()
    answer = await session.call(lambda client: client.auth.token.lookup_self())
    assert "role-services" in answer["data"]["policies"]
    assert session.generation == 2


async def test_a_login_is_good_once(vault: RunningVault) -> None:
    vault.hand_over()
    laid = json.loads((vault.vault.folder / "worker").read_text())
    session = VaultSession(vault.vault.url, vault.vault.folder / "worker")
    await session.call(lambda client: client.auth.token.lookup_self())
    assert not (vault.vault.folder / "worker").exists()
    with pytest.raises((Forbidden, InvalidRequest)):
        hvac.Client(url=vault.vault.url, token=laid["wrapping_token"]).sys.unwrap()
    await session.close()


async def test_a_role_reads_its_own_secrets_only(vault: RunningVault) -> None:
    operator = vault.operator()
    for capability in ("identity", "inference"):
        operator.secrets.kv.v2.create_or_update_secret(f"{capability}/own", {"value": capability})
    session = open_session(vault, "identity")
    source = VaultSecrets(session)
    assert (await source.read("identity/own")).get_secret_value() == "identity"
    for forbidden in (
        lambda client: client.secrets.kv.v2.read_secret_version("inference/own", raise_on_deleted_version=True),
        lambda client: client.secrets.database.generate_credentials("services"),
        lambda client: client.secrets.transit.encrypt_data("conversations", "aGk=", context="aGk="),
        lambda client: client.secrets.pki.generate_certificate("envoy", "envoy.parley.internal"),
        lambda client: client.secrets.kv.v2.create_or_update_secret("identity/own", {"value": "mine"}),
    ):
        with pytest.raises(Forbidden):
            await session.call(forbidden)
    with pytest.raises(Forbidden):
        operator.secrets.kv.v2.read_secret_version("identity/own", raise_on_deleted_version=True)
    await session.close()


async def test_who_hands_logins_over_may_use_none_and_read_nothing(vault: RunningVault) -> None:
    client = hvac.Client(url=vault.vault.url)
    client.auth.userpass.login("hand-over", (vault.vault.folders.secrets / "vault-hand-over-password").read_text())
    assert login(client, "identity")["wrapping_token"]
    attempts: tuple[Callable[[], object], ...] = (
        lambda: client.auth.approle.generate_secret_id("identity"),  # not wrapped
        lambda: client.secrets.kv.v2.read_secret_version("identity/own", raise_on_deleted_version=True),
        lambda: client.sys.create_or_update_policy("hand-over", 'path "*" { capabilities = ["sudo"] }'),
    )
    for refused in attempts:
        with pytest.raises((Forbidden, InvalidRequest)):
            refused()


async def test_a_keeper_that_begins_again_renews_at_once(session: VaultSession) -> None:
    # As after Vault was away when the renewal was due: two thirds of a whole life would be too late.
    asked = await session.call(lambda client: client.auth.token.lookup_self())
    assert "last_renewal" not in asked["data"]
    keeping = asyncio.create_task(keep_session(session))
    async with asyncio.timeout(20):
        while "last_renewal" not in asked["data"]:
            asked = await session.call(lambda client: client.auth.token.lookup_self())
    assert session.generation == 1
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


async def test_the_token_is_renewed_and_replaced_before_it_ends(vault: RunningVault) -> None:
    # Tokens of one second, renewed for at most three: then a login anew, while calls go on.
    vault.operator().auth.approle.create_or_update_approle("inference", token_ttl="1s", token_max_ttl="3s")
    session = open_session(vault, "inference")
    keeping = asyncio.create_task(keep_session(session))
    async with asyncio.timeout(30):
        while session.generation < 3:
            vault.hand_over()
            answer = await session.call(lambda client: client.auth.token.lookup_self())
            assert "role-inference" in answer["data"]["policies"]
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)
    await session.close()
    vault.set_up()
