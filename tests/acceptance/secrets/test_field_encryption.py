"""What every keeper of field keys does."""

import base64
from pathlib import Path

import pytest

from services.chassis.data_keys import DataKeys
from services.chassis.field_encryption import Cipher, FieldEncryption, Plain, Undecipherable
from services.chassis.field_keys.local import LocalFieldEncryption
from services.chassis.field_keys.vault import VaultFieldEncryption
from services.chassis.vault import VaultSession
from tests.support.running_vault import RunningVault

_TEXTS = [Plain("conversation-1", b"hello"), Plain("conversation-2", "grüße".encode()), Plain("conversation-1", b"")]


@pytest.fixture(params=["local", "vault"])
def encryption(request: pytest.FixtureRequest, session: VaultSession, tmp_path: Path) -> FieldEncryption:
    """One of the backends."""
    if request.param == "local":
        return LocalFieldEncryption(tmp_path / "secrets" / "field-keys.json", "conversations")
    return VaultFieldEncryption(session, "conversations")


async def _rotate(encryption: FieldEncryption, vault: RunningVault) -> None:
    if isinstance(encryption, VaultFieldEncryption):
        vault.operator().secrets.transit.rotate_key("conversations")  # a service may not
    else:
        await encryption.rotate()


async def test_what_was_encrypted_opens_in_its_order(encryption: FieldEncryption) -> None:
    sealed = await encryption.encrypt(_TEXTS)
    assert not any("hello" in text or base64.b64encode(b"hello").decode() in text for text in sealed)
    opened = await encryption.decrypt([Cipher(p.context, s) for p, s in zip(_TEXTS, sealed, strict=True)])
    assert opened == [item.value for item in _TEXTS]


async def test_batches_may_be_large(encryption: FieldEncryption) -> None:
    texts = [Plain(f"conversation-{number}", str(number).encode()) for number in range(700)]
    sealed = await encryption.encrypt(texts)
    ciphers = [Cipher(item.context, text) for item, text in zip(texts, sealed, strict=True)]
    assert await encryption.decrypt(ciphers) == [item.value for item in texts]
    assert len(await encryption.rewrap(ciphers)) == 700


async def test_it_does_not_open_elsewhere_nor_changed(encryption: FieldEncryption) -> None:
    (sealed,) = await encryption.encrypt(_TEXTS[:1])
    end = "A" if sealed[-6] != "A" else "B"
    for context, value in (
        ("conversation-2", sealed),
        ("conversation-1", sealed[:-6] + end + sealed[-5:]),
        ("conversation-1", "hello"),
        ("conversation-1", sealed.replace(":v1:", ":v99:").replace(":1:1:", ":1:99:")),
    ):
        if (context, value) != ("conversation-1", sealed):
            with pytest.raises(Undecipherable):
                await encryption.decrypt([Cipher(context, value)])


async def test_after_a_rotation_old_values_open_and_are_rewrapped(
    encryption: FieldEncryption, vault: RunningVault
) -> None:
    (old,) = await encryption.encrypt(_TEXTS[:1])
    await _rotate(encryption, vault)
    (new,) = await encryption.encrypt(_TEXTS[:1])
    (rewrapped,) = await encryption.rewrap([Cipher("conversation-1", old)])
    assert _key(old) != _key(new)
    assert _key(rewrapped) == _key(new)
    opened = await encryption.decrypt([Cipher("conversation-1", value) for value in (old, new, rewrapped)])
    assert opened == [b"hello"] * 3


async def test_a_data_key_seals_and_opens_in_every_process(encryption: FieldEncryption) -> None:
    seal = await DataKeys(encryption).new("conversation-1")
    sealed = seal.seal("hello", "message 1")
    assert sealed != seal.seal("hello", "message 1")
    elsewhere = await DataKeys(encryption).open("conversation-1", seal.wrapped)
    assert elsewhere.open(sealed, "message 1") == "hello"
    assert elsewhere.seal("", "message 1") == ""
    for changed, about in ((sealed, "message 2"), ("hello", "message 1"), (sealed[:-8], "message 1")):
        with pytest.raises(Undecipherable):
            elsewhere.open(changed, about)
    with pytest.raises(Undecipherable):
        await DataKeys(encryption).open("conversation-2", seal.wrapped)


async def test_processes_that_begin_at_once_share_one_key(tmp_path: Path) -> None:
    file = tmp_path / "field-keys.json"
    first, second = (LocalFieldEncryption(file, "conversations") for _ in range(2))
    (sealed,) = await first.encrypt(_TEXTS[:1])
    await second.rotate()
    (later,) = await second.encrypt(_TEXTS[:1])
    assert await first.decrypt([Cipher("conversation-1", text) for text in (sealed, later)]) == [b"hello"] * 2
    assert file.stat().st_mode & 0o777 == 0o600


def _key(sealed: str) -> str:
    """Return what says by which key a value is encrypted."""
    return sealed.rpartition(":")[0]
