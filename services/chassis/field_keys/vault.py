"""Field encryption with Vault's transit engine: the keys never leave it; one request carries a whole batch."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from hvac.exceptions import InvalidRequest

from services.chassis.field_encryption import Cipher, Plain, Undecipherable
from services.chassis.vault import VaultSession

# OpenBao refuses requests with more than a thousand strings in their JSON; an item has four.
_BATCH = 200


class VaultFieldEncryption:
    """Implements FieldEncryption. `key_name` is the key in transit, made with `derived`: the context is part of it."""

    def __init__(self, session: VaultSession, key_name: str) -> None:
        self._session = session
        self._key = key_name

    async def encrypt(self, items: Sequence[Plain]) -> list[str]:
        """See FieldEncryption."""
        wanted = [{"plaintext": _text(item.value), "context": _text(item.context.encode())} for item in items]
        return await self._ask("ciphertext", wanted, lambda client: client.secrets.transit.encrypt_data)

    async def decrypt(self, items: Sequence[Cipher]) -> list[bytes]:
        """See FieldEncryption."""
        opened = await self._ask("plaintext", _ciphers(items), lambda client: client.secrets.transit.decrypt_data)
        return [base64.b64decode(text) for text in opened]

    async def rewrap(self, items: Sequence[Cipher]) -> list[str]:
        """See FieldEncryption."""
        return await self._ask("ciphertext", _ciphers(items), lambda client: client.secrets.transit.rewrap_data)

    async def rotate(self) -> None:
        """See FieldEncryption. Needs a policy with `transit/keys/NAME/rotate`: an operator's, not a service's."""
        await self._session.call(lambda client: client.secrets.transit.rotate_key(self._key))

    async def _ask(self, wanted: str, items: list[dict[str, str]], method: Callable[[Any], Any]) -> list[str]:
        results: list[str] = []
        for start in range(0, len(items), _BATCH):
            batch = items[start : start + _BATCH]
            # With a batch the single value that hvac insists on is not looked at.
            answer = await self._try(lambda client, batch=batch: method(client)(self._key, "", batch_input=batch))  # type: ignore[misc]
            for result in answer["data"]["batch_results"]:
                if result.get("error"):
                    raise Undecipherable(f"a value of {self._key} does not open")
                results.append(result[wanted])
        return results

    async def _try(self, ask: Callable[[Any], Any]) -> Any:
        try:
            return await self._session.call(ask)
        except InvalidRequest:
            # Its text quotes what was asked.
            raise Undecipherable(f"a value of {self._key} does not open") from None


def _ciphers(items: Sequence[Cipher]) -> list[dict[str, str]]:
    return [{"ciphertext": item.value, "context": _text(item.context.encode())} for item in items]


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
