"""The certificate of one mesh identity in a folder, replaced as a whole while it is in use.

The folder holds `current`, a link to the newest version's folder with `certificate.pem` (the chain), `key.pem` and
`authority.pem`. The link is swapped in one step: a reader gets a certificate with its own key. Envoy watches it too.
"""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

TRUST_DOMAIN = "spiffe://parley/"
_LINK = "current"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain with its key, and the authority that the other side's certificate must come from; PEM."""

    chain: bytes
    key: bytes = field(repr=False)
    authority: bytes


class CertificateMissing(Exception):
    """The folder holds no certificate (yet)."""


class CertificateFolder:
    """Reads and replaces the certificate."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def version(self) -> str:
        """Return what changes whenever the certificate does. Cheap. Raises CertificateMissing."""
        try:
            return str((self.path / _LINK).readlink())
        except OSError:
            raise CertificateMissing(
                f"there is no certificate in {self.path}: does `parley certificates` run?"
            ) from None

    def read(self) -> tuple[str, Certificate]:
        """Return the version and the certificate. Raises CertificateMissing."""
        while True:
            version = self.version()
            folder = self.path / version
            try:
                names = ("certificate.pem", "key.pem", "authority.pem")
                return version, Certificate(*((folder / name).read_bytes() for name in names))
            except FileNotFoundError:
                if version == self.version():
                    raise CertificateMissing(f"the certificate in {self.path} lacks a file") from None

    def replace(self, certificate: Certificate, version: str) -> None:
        """Put a certificate in the place of the one before; only the last two versions are kept."""
        folder = self.path / version
        folder.mkdir(mode=0o700, parents=True)
        for name, content in (
            ("certificate.pem", certificate.chain),
            ("key.pem", certificate.key),
            ("authority.pem", certificate.authority),
        ):
            with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        before = str((self.path / _LINK).readlink()) if (self.path / _LINK).is_symlink() else ""
        draft = self.path / f".{_LINK}"
        draft.unlink(missing_ok=True)
        draft.symlink_to(version)
        draft.replace(self.path / _LINK)
        for old in self.path.iterdir():
            if old.is_dir() and not old.is_symlink() and old.name not in (version, before):
                shutil.rmtree(old)
