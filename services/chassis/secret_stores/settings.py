"""The settings about secrets, database credentials, encryption keys and certificates."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class VaultSettings(BaseSettings):
    """Where a process has its secrets from, and what it leaves to Vault."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    secrets: Literal["environment", "vault"] = "environment"
    """Where secrets are read: environment variables and `.env`, or Vault (OpenBao)."""
    secrets_poll_seconds: float = Field(default=10.0, gt=0)
    """How often secrets that are in use are read again, so that a changed one is seen without a restart."""
    vault_url: str = "http://127.0.0.1:8200"
    """Where Vault is; `https` outside of the loopback."""
    vault_ca: str = ""
    """PEM file of the authority of Vault's certificate; empty takes the machine's authorities."""
    vault_login_file: Path = Path(".parley/run/vault/services")
    """Where this process finds its login, a role id and a wrapped secret id; it takes the file away."""
    vault_role: str = "services"
    """The role of this process in Vault, whose database credentials it asks for."""
    database_credentials: Literal["url", "vault"] = "url"
    """User and password of PostgreSQL: those of PARLEY_DATABASE_URL, or short-lived ones from Vault."""
    field_keys: Literal["local", "vault"] = "local"
    """Who holds the keys that encrypt private texts: a file in PARLEY_HOME/secrets, or Vault's transit engine."""
    mesh_certificates: Path | None = None
    """Folder that `parley certificates` keeps for this process: the mesh then speaks mTLS. Without it, plain."""
    certificate_seconds: float = Field(default=3600.0, ge=3)
    """How long a certificate of the mesh lives; `parley certificates` replaces it after two thirds."""

    @property
    def needs_vault(self) -> bool:
        """Whether anything is left to Vault."""
        return "vault" in (self.secrets, self.database_credentials, self.field_keys)
