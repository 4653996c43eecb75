"""The settings of this service."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    access_token_seconds: int = Field(default=30 * 60, ge=1, le=24 * 3600)
    """For how long an access token is good."""
    refresh_token_seconds: int = Field(default=7 * 24 * 3600, ge=1, le=366 * 24 * 3600)
    """For how long a refresh token is good; each refresh begins it anew."""
    key_rotation_seconds: int = Field(default=30 * 24 * 3600, ge=3600)
    """For how long a key signs access tokens before the next one takes over."""
    key_publish_ahead_seconds: int = Field(default=10 * 60, ge=120)
    """For how long a new key is published before it signs. Verifiers look for new keys every minute."""
    password_threads: int = Field(default=2, ge=1, le=64)
    """How many passwords are hashed at once; each takes 19 MiB and a CPU for some 20 ms."""
    admin_email: str = Field(default="", pattern=r"^$|^[^@\s]+@[^@\s]+$", max_length=254)
    """The address of a user who is an administrator from the start; made when missing. Needs admin_password."""
    admin_password: SecretStr = SecretStr("")
    """The password of that user when it is made; an existing user keeps the password."""
    admin_username: str = Field(default="", pattern=r"^$|^[A-Za-z0-9._-]{3,50}$")
    """The username of that user; the part of the address before the @ when empty."""

    @model_validator(mode="after")
    def _rotation_leaves_time_to_publish(self) -> Self:
        if self.key_rotation_seconds < 2 * self.key_publish_ahead_seconds:
            raise ValueError("key_rotation_seconds must be at least twice key_publish_ahead_seconds")
        return self
