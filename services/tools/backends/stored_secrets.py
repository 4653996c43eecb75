"""The secrets of owners, from the secret store of the house."""

from collections.abc import Sequence

from services.chassis.secrets import SecretMissing, SecretStore, SecretsUnavailable
from services.tools.ports import CallFailed
from services.tools.rules import SecretHeader, secret_name


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
            found[one.name] = one.prefix + secret.get_secret_value()
        return found
