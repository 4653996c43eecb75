"""Brings Vault to what this version needs, again and again: mounts, policies, roles, keys, the database, the PKI.

Only the HTTP API that OpenBao and HashiCorp Vault share. Reads nothing but its options; removes nothing.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import hvac
from hvac.exceptions import InvalidPath

from deploy.vault.configuration import policy
from deploy.vault.databases import GROUP_PREFIX
from deploy.vault.operator_login import log_in, options
from deploy.vault.roles import MESH_IDENTITIES, Role, roles
from deploy.vault.seeding import named_files, seed

_MOUNTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "secret": ("kv", {"version": "2"}),
    "transit": ("transit", {}),
    "pki": ("pki", {}),
    "database": ("database", {}),
}
_TEN_YEARS = "87600h"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """How long what Vault hands out lives; durations as Vault writes them."""

    login: str = "20m"
    """Of a role's token unless it is renewed."""
    login_max: str = "24h"
    """Of a role's token at most: then it logs in anew."""
    database: str = "1h"
    """Of database credentials unless they are renewed."""
    database_max: str = "24h"
    """Of database credentials at most."""
    certificate: str = "24h"
    """Of a certificate of the mesh at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseAdmin:
    """The PostgreSQL whose roles Vault makes, and the login with which it does."""

    place: str
    """HOST:PORT/DATABASE."""
    user: str
    password: str
    sslmode: str = "disable"


def set_up(client: hvac.Client, capabilities: Sequence[str], admin: DatabaseAdmin | None, lifetimes: Lifetimes) -> None:
    """Bring a Vault to what this version needs. Raises hvac's VaultError when it refuses."""
    _mount(client)
    _make_keys(client, capabilities)
    _make_authority(client, [*MESH_IDENTITIES, *capabilities], lifetimes)
    wanted = roles(capabilities)
    if admin is not None:
        _connect_database(client, admin)
        for role in wanted:
            if role.capabilities:
                _make_database_role(client, role, lifetimes)
    for name in capabilities:
        client.sys.create_or_update_policy(f"capability-{name}", policy("capability", capability=name))
    client.sys.create_or_update_policy("hand-over", policy("hand-over"))
    for role in wanted:
        _make_role(client, role, lifetimes)


def _mount(client: hvac.Client) -> None:
    there = client.sys.list_mounted_secrets_engines()["data"]
    for path, (engine, settings) in _MOUNTS.items():
        if f"{path}/" not in there:
            limits = {"max_lease_ttl": _TEN_YEARS} if path == "pki" else {}
            client.sys.enable_secrets_engine(engine, path=path, options=dict(settings) or None, config=limits or None)
    if "approle/" not in client.sys.list_auth_methods()["data"]:
        client.sys.enable_auth_method("approle")


def _make_keys(client: hvac.Client, capabilities: Sequence[str]) -> None:
    for name in capabilities:
        # Derived: what was encrypted for one context opens with that context only. Once made, a key stays.
        client.secrets.transit.create_key(name, derived=True, key_type="aes256-gcm96")


def _make_authority(client: hvac.Client, names: Sequence[str], lifetimes: Lifetimes) -> None:
    try:
        client.secrets.pki.list_issuers()
    except InvalidPath:
        extra = {"ttl": _TEN_YEARS, "key_type": "ec", "key_bits": 256}
        client.secrets.pki.generate_root("internal", "Parley mesh", extra_params=extra)
    for name in names:
        client.secrets.pki.create_or_update_role(
            name,
            {
                # One identity, and no other name than its own.
                "allowed_uri_sans": f"spiffe://parley/{name}",
                "allowed_domains": f"{name}.parley.internal",
                "allow_bare_domains": True,
                "allow_ip_sans": False,
                "key_type": "ec",
                "key_bits": 256,
                "max_ttl": lifetimes.certificate,
                # Short-lived and never revoked: nothing to keep.
                "no_store": True,
            },
        )


def _connect_database(client: hvac.Client, admin: DatabaseAdmin) -> None:
    try:
        client.secrets.database.read_connection("parley")
    except InvalidPath:
        client.secrets.database.configure(
            "parley",
            "postgresql-database-plugin",
            allowed_roles=["*"],
            connection_url=f"postgresql://{{{{username}}}}:{{{{password}}}}@{admin.place}?sslmode={admin.sslmode}",
            username=admin.user,
            password=admin.password,
        )
        # From here on nobody but Vault knows it.
        client.secrets.database.rotate_root_credentials("parley")


def _make_database_role(client: hvac.Client, role: Role, lifetimes: Lifetimes) -> None:
    groups = ", ".join(f'"{GROUP_PREFIX}{name}"' for name in role.capabilities)
    client.secrets.database.create_role(
        role.name,
        "parley",
        creation_statements=[
            "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE " + groups
        ],
        # Its rights are its groups': nothing else to take back.
        revocation_statements=['DROP ROLE IF EXISTS "{{name}}"'],
        default_ttl=lifetimes.database,
        max_ttl=lifetimes.database_max,
    )


def _make_role(client: hvac.Client, role: Role, lifetimes: Lifetimes) -> None:
    text = policy("role", role=role.name, certificates=role.certificates, secrets=role.secrets)
    client.sys.create_or_update_policy(f"role-{role.name}", text)
    client.auth.approle.create_or_update_approle(
        role.name,
        token_policies=[f"role-{role.name}", *(f"capability-{name}" for name in role.capabilities)],
        token_ttl=lifetimes.login,
        token_max_ttl=lifetimes.login_max,
        secret_id_num_uses=1,
        secret_id_ttl="10m",  # noqa: S106 -- a duration
    )


def make_hand_over(client: hvac.Client, password: str) -> None:
    """Make the user who hands logins over, and may do nothing else. Raises hvac's VaultError when Vault refuses."""
    client.auth.userpass.create_or_update_user("hand-over", password=password, policies="hand-over")


def main() -> int:
    """Set up the Vault of the options."""
    parser = options(__doc__ or "")
    parser.add_argument("--database", default="", help="HOST:PORT/DATABASE; without it no database roles are made")
    parser.add_argument("--database-user", default="vault_database", help="the login that makes roles")
    parser.add_argument("--database-password", type=Path, help="file with its first password")
    parser.add_argument("--database-sslmode", default="disable", help="libpq's sslmode")
    parser.add_argument("--hand-over-password", type=Path, help="file with the password of the user `hand-over`")
    parser.add_argument(
        "--secret", action="append", default=[], help="NAME=FILE: a secret's first value; once set it stays"
    )
    for name, default in (("login", "20m"), ("login-max", "24h"), ("database-ttl", "1h"), ("database-max-ttl", "24h")):
        parser.add_argument(f"--{name}", default=default, help=f"a lifetime, as Vault writes it ({default})")
    given = parser.parse_args()
    admin = None
    if given.database:
        password = given.database_password.read_text().strip()
        admin = DatabaseAdmin(
            place=given.database, user=given.database_user, password=password, sslmode=given.database_sslmode
        )
    lifetimes = Lifetimes(
        login=given.login, login_max=given.login_max, database=given.database_ttl, database_max=given.database_max_ttl
    )
    client = log_in(given)
    set_up(client, given.capabilities.split(","), admin, lifetimes)
    seed(client, named_files(given.secret))
    if given.hand_over_password:
        make_hand_over(client, given.hand_over_password.read_text().strip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
