"""Etags: what changes with every change of something, so that nobody overwrites what they have not read."""

from services.chassis.errors import EtagOutdated


def etag_of(revision: int) -> str:
    """Return the etag of a revision, quoted as HTTP has it (RFC 9110)."""
    return f'"{revision}"'


def check_etag(revision: int, etag: str, mismatch: type[EtagOutdated]) -> None:
    """Raise `mismatch` when `etag` is given and is of another revision than the present one."""
    present = etag_of(revision)
    if etag and etag != present:
        raise mismatch(etag=present)
