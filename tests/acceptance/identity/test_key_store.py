"""What every KeyStore does, and that files are kept safe."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.errors import StartRefused
from services.identity.ports.keys import KeyStore
from services.identity.rules.signing_keys import SigningKey
from tests.services.identity.fakes import START, MemoryKeyStore

FIRST = SigningKey(1, "first", START, "-----BEGIN")
SECOND = SigningKey(2, "second", START + timedelta(days=30), "-----BEGIN")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that does not exist yet."""
    return tmp_path / "identity" / "keys"


@pytest.fixture(params=["memory", "directory"])
def store(request: pytest.FixtureRequest, folder: Path) -> KeyStore:
    """An empty store of each backend."""
    return MemoryKeyStore() if request.param == "memory" else DirectoryKeyStore(folder)


async def test_keys_come_back_as_added(store: KeyStore) -> None:
    assert await store.load() == []
    assert await store.add(FIRST)
    assert await store.add(SECOND)
    assert await store.load() == [FIRST, SECOND]


async def test_of_keys_with_the_same_number_the_first_stays(store: KeyStore) -> None:
    rivals = [SigningKey(1, f"rival-{number}", START, "pem") for number in range(8)]
    added = await asyncio.gather(*(store.add(one) for one in rivals))
    assert sum(added) == 1
    assert await store.load() == [rivals[added.index(True)]]


async def test_removing_twice_does_no_harm(store: KeyStore) -> None:
    await store.add(FIRST)
    await store.add(SECOND)
    for _ in range(2):
        await store.remove([FIRST])
    assert await store.load() == [SECOND]


def test_only_the_owner_may_read_key_files(folder: Path) -> None:
    for _ in range(2):
        asyncio.run(DirectoryKeyStore(folder).add(FIRST))
    assert [(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()] == [("000001.json", 0o600)]
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"kid": "a", "signs_from": "yesterday", "private_key": ""}'])
async def test_a_file_that_cannot_be_read_is_named(folder: Path, content: str) -> None:
    await DirectoryKeyStore(folder).add(FIRST)
    (folder / "000002.json").write_text(content)
    with pytest.raises(StartRefused, match=r"000002\.json"):
        await DirectoryKeyStore(folder).load()
