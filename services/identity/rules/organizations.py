"""Organisations: what is decided about them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Organization:
    """People who belong together, such as a school. A user is a member of one at most."""

    organization_id: UUID
    name: str
    """Unique without regard to case."""
    description: str
    created_at: datetime
