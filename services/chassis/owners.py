"""Who owns what: the organisation for which a caller acts, else the caller."""

from dataclasses import dataclass

from services.chassis import caller


@dataclass(frozen=True, slots=True)
class Who:
    """On whose behalf something is done, and by whom."""

    owner: str
    user_id: str


def owner_of(user_id: str, organization_id: str) -> str:
    """Return who owns what this caller makes: the organisation if there is one, else the user."""
    return f"organization:{organization_id}" if organization_id else f"user:{user_id}"


def organization_in(owner: str) -> str:
    """Return the organisation that an owner is; empty for a user."""
    kind, _, identifier = owner.partition(":")
    return identifier if kind == "organization" else ""


def owners_for(user_id: str, organization_id: str) -> tuple[str, str]:
    """Return the owners whose things serve this user: the user, and the organisation if there is one."""
    return owner_of(user_id, ""), owner_of(user_id, organization_id)


def who() -> Who:
    """Return on whose behalf the RPC that runs now was called."""
    calling = caller.current()
    return Who(owner_of(calling.user_id, calling.organization_id), calling.user_id)
