"""Secrets from Vault's KV engine, version 2: `inference/openai-api-key` is the field `value` at that path."""

from hvac.exceptions import Forbidden, InvalidPath
from pydantic import SecretStr

from services.chassis.secrets import SecretForbidden, SecretMissing
from services.chassis.vault import VaultSession

_MOUNT = "secret"
_FIELD = "value"


class VaultSecrets:
    """Implements SecretSource."""

    def __init__(self, session: VaultSession) -> None:
        self._session = session

    async def read(self, name: str) -> SecretStr:
        """See SecretSource."""
        try:
            answer = await self._session.call(
                lambda client: client.secrets.kv.v2.read_secret_version(
                    name, mount_point=_MOUNT, raise_on_deleted_version=True
                )
            )
        except InvalidPath:
            raise SecretMissing(name=name) from None
        except Forbidden:
            raise SecretForbidden(name=name) from None
        value = answer["data"]["data"].get(_FIELD)
        if not isinstance(value, str) or not value:
            raise SecretMissing(name=name)
        return SecretStr(value)
