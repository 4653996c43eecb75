"""Secrets for the commands of the deployment, which know no secret store."""

import contextlib
from collections.abc import Sequence

from services.chassis.custody import open_custody
from services.chassis.secret_stores.settings import VaultSettings
from services.chassis.secrets import SecretMissing
from services.chassis.settings import ChassisSettings


async def stored_secrets(names: Sequence[str]) -> dict[str, str]:
    """Return those of the secrets that Vault has; none without Vault, where the commands' settings have them.

    Raises:
        SecretsUnavailable: Vault is away, or there is no login for this process.
    """
    settings = VaultSettings(database_credentials="url", field_keys="local")
    if settings.secrets != "vault":
        return {}
    found = {}
    async with open_custody(settings, ChassisSettings().home) as custody:
        for name in names:
            with contextlib.suppress(SecretMissing):
                found[name] = (await custody.secrets.get(name)).get_secret_value()
    return found
