"""The secrets of owners, from the secret store of the house."""

from collections.abc import Sequence

from services.chassis.secrets import SecretMissing, SecretStore, SecretsUnavailable
from services.tools.ports import CallFailed
from services.tools.rules import SecretHeader, secret_name
from services.tools.rules.requests import header_wrong


class StoredSecrets:
    """Implements the port Secrets."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    async def headers(self, owner: str, wanted: Sequence[SecretHeader]) -> dict[str, str]:
        """See the port."""
        found = {}
        for one in wanted:
            try:
                secret = await self._store.get(secret_name(owner, one.secret))
            except SecretMissing:
                raise CallFailed("SECRET_MISSING", f"the secret {one.secret} is not set", done=False) from None
            except SecretsUnavailable:
                raise CallFailed("SECRET_MISSING", "secrets cannot be read now", done=False) from None
            value = one.prefix + secret.get_secret_value()
            if header_wrong(one.name, value):
                text = f"the secret {one.secret} cannot stand in a header: it must be printable ASCII on one line"
                raise CallFailed("SECRET_INVALID", text, done=False)
            found[one.name] = value
        return found
