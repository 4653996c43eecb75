"""No secret value reaches a log, an error or the settings' listing, also when a provider quotes it."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from parley.inference.v1 import generation_service_pb2, generation_service_pb2_grpc

from services.chassis.channels import open_channel
from services.chassis.database import Database
from services.chassis.migrations import migrate
from services.chassis.tokens import ServiceTokens
from services.registry import CAPABILITIES
from tests.acceptance.secrets.conftest import open_session
from tests.support.model_server import providing, refusing
from tests.support.polling import until
from tests.support.running_vault import RunningVault
from tests.support.stores import free_port

_KEY = "sk-this-is-the-providers-key"
_HOUSE_SECRET = "the house's own secret, long enough for it"


@contextmanager
def _serving(environment: dict[str, str], log: Path) -> Iterator[None]:
    command = [sys.executable, "-m", "services", "serve", "inference"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, cwd=log.parent, stdout=output, stderr=output)
        try:
            until(lambda: _serves(environment) or process.poll() is not None, seconds=60, what="the service")
            assert process.poll() is None, log.read_text()
            yield
        finally:
            process.terminate()
            process.wait(20)


def _run(command: str, environment: dict[str, str], folder: Path) -> "subprocess.CompletedProcess[bytes]":
    words = [sys.executable, "-m", "services", *command.split()]
    return subprocess.run(words, env=environment, cwd=folder, capture_output=True, check=False)


def _text(path: str) -> str:
    return Path(path).read_text()


def _serves(environment: dict[str, str]) -> bool:
    with grpc.insecure_channel(environment["PARLEY_SERVE_LISTEN"]) as channel:
        try:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=1)  # type: ignore[attr-defined]
        except grpc.RpcError:
            return False
        return True


async def test_no_secret_is_told(vault: RunningVault, valkey_url: str, tmp_path: Path) -> None:
    owner = Database(vault.database)
    await migrate(owner.engine, list(CAPABILITIES))
    await owner.close()
    vault.operator().secrets.kv.v2.create_or_update_secret("inference/openai-api-key", {"value": _KEY})
    vault.hand_over()
    login = (vault.vault.folder / "inference").read_text()
    log = tmp_path / "inference.log"
    async with providing(refusing(401, f"the key {_KEY} is not good")) as provider:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
            **vault.vault.settings("inference"),
            "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path.cwd() / "gen")]),
            "PARLEY_HOME": str(tmp_path),
            "PARLEY_LOG_LEVEL": "debug",
            "PARLEY_DATABASE_URL": vault.database,
            "PARLEY_VALKEY_URL": valkey_url,
            "PARLEY_SECRET": _HOUSE_SECRET,
            "PARLEY_SERVE_LISTEN": f"127.0.0.1:{free_port()}",
            "PARLEY_INFERENCE_PROVIDER": "openai",
            "PARLEY_INFERENCE_OPENAI_BASE_URL": provider.base_url,
            "PARLEY_INFERENCE_OPENAI_API_KEY": _KEY,
        }
        del environment["PARLEY_MESH_CERTIFICATES"]  # plain: what is looked at here is another road
        with _serving(environment, log):
            channel = open_channel(environment["PARLEY_SERVE_LISTEN"], ServiceTokens(_HOUSE_SECRET, "conversations"))
            request = generation_service_pb2.GenerateRequest()
            request.messages.add(role="user", text="Hello")
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                async for _ in generation_service_pb2_grpc.GenerationServiceStub(channel).Generate(request):
                    pass
            await channel.close()
        assert provider.requests >= 1
        listed = await asyncio.to_thread(_run, "settings", environment, tmp_path)
    told = {
        "log": log.read_text(),
        "error": f"{refused.value!r} {refused.value.trailing_metadata()!r}",
        "settings": listed.stdout.decode() + listed.stderr.decode(),
    }
    assert "logged in to Vault" in told["log"]
    assert "PARLEY_INFERENCE_OPENAI_API_KEY=(hidden)" in told["settings"]
    secrets = {path.name: path.read_text() for path in vault.vault.folders.secrets.iterdir() if "password" in path.name}
    secrets |= {"the provider's key": _KEY, "the house's secret": _HOUSE_SECRET, "the login": login.split('"')[-2]}
    found = [(name, where) for where, text in told.items() for name, value in secrets.items() if value in text]
    assert found == []
    # Vault's own log of who asked for what holds no value either.
    audited = _text(vault.vault.places.audit_log)
    assert "inference/openai-api-key" in audited
    assert [name for name, value in secrets.items() if value in audited] == []


async def test_a_process_without_a_login_says_so_and_ends(vault: RunningVault, tmp_path: Path) -> None:
    session = open_session(vault, "inference")
    await session.call(lambda client: client.auth.token.lookup_self())  # takes the login away
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
        **vault.vault.settings("inference"),
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path.cwd() / "gen")]),
        "PARLEY_SECRET": _HOUSE_SECRET,
    }
    ended = await asyncio.to_thread(_run, "serve inference", environment, tmp_path)
    assert ended.returncode == 1
    assert b"Traceback" not in ended.stdout + ended.stderr
    assert b"secrets and keys cannot be reached now" in ended.stderr
    await session.close()


async def test_a_process_without_the_houses_secret_names_it_and_ends(vault: RunningVault, tmp_path: Path) -> None:
    vault.hand_over()
    # Whatever another test has laid there.
    vault.operator().secrets.kv.v2.delete_metadata_and_all_versions("shared/secret")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
        **vault.vault.settings("inference"),
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), str(Path.cwd() / "gen")]),
    }
    ended = await asyncio.to_thread(_run, "serve inference", environment, tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines() == ["parley services: the secret shared/secret is not set"]
