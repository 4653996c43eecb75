"""What the settings leave out and the secret store has: the house's secret, and the passwords of stores and brokers.

What is set wins. A URL that names a user and no password gets the password from the store.
"""

from pydantic import SecretStr

from services.chassis.addresses import LiveUrl, lacks_password, with_password
from services.chassis.secrets import SecretMissing, SecretStore
from services.chassis.settings import ChassisSettings

HOUSE_SECRET = "shared/secret"  # noqa: S105 -- its name, as those below
_OF_SCHEME = {
    "redis": "shared/valkey-password",
    "rediss": "shared/valkey-password",
    "amqp": "shared/rabbitmq-password",
    "amqps": "shared/rabbitmq-password",
    "kafka": "shared/kafka-password",
}
_DATABASE_OWNER = "migrations/database-password"


def client_secret(service: str) -> str:
    """Return the name of the secret of a service's own client at the issuer."""
    return f"{service}/keycloak-client-secret"


async def completed(settings: ChassisSettings, store: SecretStore, *, in_vault: bool) -> ChassisSettings:
    """Return the settings with what the store has of them. The environment's PARLEY_SECRET is a setting already.

    Raises:
        SecretMissing: a password is needed, and nobody has set it.
        SecretsUnavailable: the store cannot be asked.
    """
    found: dict[str, object] = {}
    if in_vault and not settings.secret.get_secret_value():
        # Read once: what it has signed would not be good any more.
        found["secret"] = SecretStr((await store.hold(HOUSE_SECRET, polled=False)).now())
    for name in ("valkey_url", "broker_url", "events_url"):
        bare = getattr(settings, name).get_secret_value()
        secret = _OF_SCHEME.get(bare.partition(":")[0])
        if secret is not None and lacks_password(bare):
            found[name] = LiveUrl(bare, await store.hold(secret))
    return settings.model_copy(update=found)


async def owner_url(settings: ChassisSettings, store: SecretStore) -> SecretStr:
    """Return the database's URL for the owner of the schemas; PostgreSQL may want no password. Raises as above."""
    bare = settings.database_url.get_secret_value()
    if not lacks_password(bare):
        return settings.database_url
    try:
        return SecretStr(with_password(bare, (await store.get(_DATABASE_OWNER)).get_secret_value()))
    except SecretMissing:
        return settings.database_url
