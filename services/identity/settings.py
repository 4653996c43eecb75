"""The settings of this service."""

from typing import Literal, Self

from pydantic import AliasChoices, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


def _shared(name: str) -> AliasChoices:
    # `parley identity sync` reads the same variables without our prefix.
    return AliasChoices(f"PARLEY_IDENTITY_{name}", f"PARLEY_{name}")


class IdentitySettings(BaseSettings):
    """How people sign in and for how long."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_IDENTITY_",
        env_file=".env",
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
        hide_input_in_errors=True,
    )

    directory: Literal["builtin", "keycloak"] = "builtin"
    """Where users, sessions and organizations are kept: in PostgreSQL by this service, or in Keycloak."""
    keycloak_url: str = Field(default="", validation_alias=_shared("KEYCLOAK_URL"))
    """Keycloak's own URL, with its path, for the directory `keycloak`. PARLEY_KEYCLOAK_URL when not set."""
    keycloak_realm: str = Field(default="parley", validation_alias=_shared("KEYCLOAK_REALM"))
    """The realm of the users. PARLEY_KEYCLOAK_REALM when not set."""
    keycloak_api_secret: SecretStr = Field(default=SecretStr(""), validation_alias=_shared("KEYCLOAK_API_SECRET"))
    """The secret of the client `parley-api`, by which people sign in. PARLEY_KEYCLOAK_API_SECRET when not set.

    With PARLEY_SECRETS=vault it is `identity/keycloak-api-secret` there.
    """
    access_token_seconds: int = Field(default=30 * 60, ge=1, le=24 * 3600)
    """For how long an access token is good."""
    refresh_token_seconds: int = Field(default=7 * 24 * 3600, ge=1, le=366 * 24 * 3600)
    """For how long a refresh token is good; each refresh begins it anew."""
    refresh_grace_seconds: int = Field(default=10, ge=0, le=60)
    """For how long a spent refresh token gets the same answer again, from the same client only; 0 for never."""
    key_rotation_seconds: int = Field(default=30 * 24 * 3600, ge=3600)
    """For how long a key signs access tokens before the next one takes over."""
    key_publish_ahead_seconds: int = Field(default=10 * 60, ge=120)
    """For how long a new key is published before it signs. Verifiers look for new keys every minute."""
    password_threads: int = Field(default=2, ge=1, le=64)
    """How many passwords are hashed at once; each takes 19 MiB and a CPU for some 20 ms."""
    admin_email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$", max_length=254)
    """The address of a user who is an administrator from the start; made when missing. Needs admin_password."""
    admin_password: SecretStr = SecretStr("")
    """The password of that user when it is made; an existing user keeps it. In Vault: `identity/admin-password`."""
    admin_username: str = Field(default="", pattern=r"^$|^[A-Za-z0-9._-]{3,50}$")
    """The username of that user; the part of the address before the @ when empty."""

    attempts_per_address: int = Field(default=10, ge=1)
    """How many times a minute one network address may register, sign in, or ask for or show a code."""
    attempts_per_account: int = Field(default=10, ge=1)
    """How many times a password may be wrong for one account before it is refused unseen."""
    attempts_per_account_seconds: int = Field(default=15 * 60, ge=1)
    """Within which time; the right password begins it anew."""
    mails_per_hour: int = Field(default=5, ge=1)
    """How many codes and invitations an e-mail address is sent within an hour."""
    mails_per_client_per_hour: int = Field(default=100, ge=1)
    """How many codes one network address has sent within an hour, to whomever they go."""
    invitations_per_hour: int = Field(default=20, ge=1)
    """How many invitations one user sends within an hour."""
    invitations_per_organization_per_day: int = Field(default=200, ge=1)
    """How many invitations the members of one organization send within a day."""
    mail_from: str = Field(default="Parley <parley@localhost>", max_length=320)
    """The sender of mails."""
    smtp_host: str = ""
    """The server that takes mail; when empty, mails are written to PARLEY_HOME/mail instead."""
    smtp_port: int = Field(default=587, ge=1, le=65535)
    """Its port."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection is encrypted: after a greeting (587), from the start (465), or not at all."""
    smtp_username: str = ""
    """The name to sign in with; empty for a server that asks for none."""
    smtp_password: SecretStr = SecretStr("")
    """The password of that name; with PARLEY_SECRETS=vault it is `identity/smtp-password` there."""

    @model_validator(mode="after")
    def _rotation_leaves_time_to_publish(self) -> Self:
        if self.key_rotation_seconds < 2 * self.key_publish_ahead_seconds:
            raise ValueError("key_rotation_seconds must be at least twice key_publish_ahead_seconds")
        return self
