"""Renders OpenBao's configuration file."""

from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultPlaces:
    """What differs between one OpenBao and the next. Paths are absolute."""

    address: str
    """HOST:PORT where it listens."""
    storage_url: str
    """PostgreSQL as libpq writes it: `postgres://user:password@host:port/database?sslmode=disable`."""
    seal_key: str
    """File with 32 random bytes."""
    operator_password: str
    """File with the password of the user `operator`; read at the first start only."""
    audit_log: str
    """Where the audit device writes."""
    tls_certificate: str = ""
    """PEM file of the certificate chain; empty serves plain HTTP, for the loopback only."""
    tls_key: str = ""
    """PEM file of the certificate's key."""
    ui: bool = False
    """Whether the web console is served."""
    seal_key_id: str = "1"
    """The name of the seal's key; a new key gets a new name."""
    previous_seal_key: str = ""
    """File of the key before, while the seal is rotated."""
    previous_seal_key_id: str = ""
    """The name of that key."""

    @property
    def url(self) -> str:
        """The URL under which clients reach it."""
        return f"{'https' if self.tls_certificate else 'http'}://{self.address}"


def render(places: VaultPlaces) -> str:
    """Return the text of the configuration."""
    return template("openbao.hcl").render(asdict(places), url=places.url, operator_policy=policy("operator"))


def policy(name: str, **values: object) -> str:
    """Return the text of `policies/NAME.hcl` with the values put in."""
    return template(f"policies/{name}.hcl").render(values)


def template(name: str) -> jinja2.Template:
    """Return a template of this folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # noqa: S701 -- HCL, not HTML; every value goes through tojson
        trim_blocks=True,
    )
    # jinja2's own tojson escapes for HTML.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": True}
    return environment.get_template(name)
