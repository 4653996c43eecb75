"""What every source of secrets does, and what only Vault can do."""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import hvac
import pytest
from hvac.exceptions import Forbidden, InvalidRequest

from deploy.vault.hand_over import login
from deploy.vault.seeding import seed
from services.chassis.secret_stores.vault import VaultSecrets
from services.chassis.secrets import SecretForbidden, SecretMissing, SecretStore, SecretsUnavailable
from services.chassis.vault import VaultSession, keep_session
from tests.acceptance.secrets.conftest import Put, open_session
from tests.support.running_vault import RunningVault


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


async def test_a_secret_that_is_held_is_told_as_it_is_now(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    name = _name()
    await put(name, "first")
    held = await store.hold(name)
    assert held.now() == "first"
    fresh = asyncio.create_task(store.keep_fresh())
    await put(name, "second")
    async with asyncio.timeout(30):
        while held.now() != "second":
            await asyncio.sleep(0.01)
    fresh.cancel()
    await asyncio.gather(fresh, return_exceptions=True)
    await put(name, "third")
    assert await held.look_again() == held.now() == "third"
    await put(name, "")
    assert await held.look_again() == "third", "what is removed may still be good"
    await put(name, "fourth")
    assert await held.look_again() == "fourth"


async def test_a_secret_that_is_not_polled_is_read_when_asked(store_and_put: tuple[SecretStore, Put]) -> None:
    store, put = store_and_put
    quiet, watched = _name(), _name()
    await put(quiet, "first")
    await put(watched, "first")
    held, beside = await store.hold(quiet, polled=False), await store.hold(watched)
    await put(quiet, "second")
    await put(watched, "second")
    fresh = asyncio.create_task(store.keep_fresh())
    async with asyncio.timeout(30):
        while beside.now() != "second":
            await asyncio.sleep(0.01)
    fresh.cancel()
    await asyncio.gather(fresh, return_exceptions=True)
    assert held.now() == "first"
    assert await held.look_again() == held.now() == "second"


async def test_a_process_waits_for_a_vault_that_is_not_up_yet(vault: RunningVault) -> None:
    session = open_session(vault, "inference")
    await asyncio.to_thread(vault.server.stop)
    try:
        waiting = asyncio.create_task(session.wait_until_ready())
        with pytest.raises(SecretsUnavailable):
            await session.call(lambda client: client.auth.token.lookup_self())
        assert not waiting.done()
    finally:
        await asyncio.to_thread(vault.server.start)
    await asyncio.wait_for(waiting, 60)
    vault.hand_over()
    await session.call(lambda client: client.auth.token.lookup_self())
    await session.close()


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


async def test_steps_read_what_they_need_and_no_capability_reads_it(vault: RunningVault) -> None:
    names = ("shared/secret", "migrations/database-password", "keycloak/operator-secret")
    clients = ("identity/keycloak-client-secret", "inference/keycloak-client-secret")
    operator = vault.operator()
    for name in (*names, *clients, "inference/openai-api-key"):
        operator.secrets.kv.v2.create_or_update_secret(name, {"value": name})
    allowed = {
        "migrate": {"migrations/database-password"},
        "keycloak": {"keycloak/operator-secret", *clients},
        "identity": {"shared/secret", "identity/keycloak-client-secret"},
        "inference": {"shared/secret", "inference/keycloak-client-secret", "inference/openai-api-key"},
        "certificates": set(),
    }
    for role, may in allowed.items():
        session = open_session(vault, role)
        read = set()
        for name in (*names, *clients, "inference/openai-api-key"):
            with contextlib.suppress(SecretForbidden):
                read.add((await VaultSecrets(session).read(name)).get_secret_value())
        assert read == may, role
        await session.close()


def test_first_values_are_laid_once(vault: RunningVault, tmp_path: Path) -> None:
    name = f"inference/seeded-{uuid4().hex}"
    operator = vault.operator()
    for version in ("first", "second"):
        (tmp_path / "value").write_text(f"{version}\n")
        seed(operator, {name: tmp_path / "value"})
    assert operator.secrets.kv.v2.read_secret_metadata(name)["data"]["current_version"] == 1


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
