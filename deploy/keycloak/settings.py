"""The settings of `parley identity sync`, from PARLEY_KEYCLOAK_* variables or .env; secrets also from Vault."""

from collections.abc import Mapping, Sequence

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class KeycloakSettings(BaseSettings):
    """Which Keycloak holds the realm, and what in the realm differs between one Parley and the next."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_KEYCLOAK_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        populate_by_name=True,
    )

    url: str = ""
    """Keycloak's URL with its path, such as `http://127.0.0.1:8180/auth`; services talk to it directly."""
    realm: str = "parley"
    """The realm of Parley's users."""
    require_tls: bool = True
    """Whether callers from outside must come over TLS; off only for a stack whose edge speaks plain HTTP."""
    operator_id: str = "parley-operator"
    """The confidential client of the realm `master` as which `parley identity sync` works."""
    operator_secret: SecretStr = SecretStr("")
    """The secret of that client."""
    console_url: str = ""
    """The security listener's URL with its path: where administrators of the realm `master` sign in."""
    console_user: str = "admin"
    """A user of the realm `master` who may use the console; made when missing and a password is set."""
    console_password: SecretStr = SecretStr("")
    """The password of that user when it is made; an existing user keeps the password."""
    web_origins: str = ""
    """Origins of the pages that sign people in by the client `parley-web`, separated by commas."""
    api_secret: SecretStr = SecretStr("")
    """The secret of the client `parley-api`, by which the identity service signs people in."""
    service_client_secrets: dict[str, SecretStr] = Field(
        default={},
        validation_alias=AliasChoices(
            "PARLEY_KEYCLOAK_SERVICE_CLIENT_SECRETS", "PARLEY_SERVICE_CLIENT_SECRETS", "service_client_secrets"
        ),
    )
    """Capability -> secret of its client `parley-<capability>`, as JSON. PARLEY_SERVICE_CLIENT_SECRETS when not set."""
    google_client_id: str = ""
    """The client id that Google gave; set, people may sign in with Google."""
    google_client_secret: SecretStr = SecretStr("")
    """The secret of that client."""
    github_client_id: str = ""
    """The client id that GitHub gave; set, people may sign in with GitHub."""
    github_client_secret: SecretStr = SecretStr("")
    """The secret of that client."""
    oidc_issuer: str = ""
    """The issuer of another OpenID Connect provider, such as a university's; set, people may sign in with it."""
    oidc_alias: str = "campus"
    """The short name of that provider in URLs."""
    oidc_name: str = "Campus"
    """What the login page calls that provider."""
    oidc_client_id: str = ""
    """Our client id at that provider."""
    oidc_client_secret: SecretStr = SecretStr("")
    """The secret of that client."""


_SECRETS = {
    "identity/keycloak-api-secret": "api_secret",
    "keycloak/console-password": "console_password",
    "keycloak/github-client-secret": "github_client_secret",
    "keycloak/google-client-secret": "google_client_secret",
    "keycloak/oidc-client-secret": "oidc_client_secret",
    "keycloak/operator-secret": "operator_secret",
}
_OF_SERVICE = "/keycloak-client-secret"


def secret_names(capabilities: Sequence[str]) -> list[str]:
    """Return the names of the secrets that the settings may have from a secret store."""
    return [*_SECRETS, *(name + _OF_SERVICE for name in capabilities)]


def settings_with(secrets: Mapping[str, str]) -> KeycloakSettings:
    """Return the settings, with secrets of a store where none is set. Raises ValidationError."""
    given = KeycloakSettings()
    found: dict[str, object] = {
        field: SecretStr(secrets[name])
        for name, field in _SECRETS.items()
        if name in secrets and not getattr(given, field).get_secret_value()
    }
    of_services = {
        name.removesuffix(_OF_SERVICE): SecretStr(value)
        for name, value in secrets.items()
        if name.endswith(_OF_SERVICE)
    }
    found["service_client_secrets"] = of_services | given.service_client_secrets
    return given.model_copy(update=found)
