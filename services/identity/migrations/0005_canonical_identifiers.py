"""Keep addresses and usernames in their canonical form too, by which they are compared from now on.

Of users whose forms are the same, the one with a verified address keeps it, else the oldest. The others are found by
their other identifier only, and their address counts as not verified: whose it is has to be proven. Of usernames that
look alike the oldest keeps the look; nobody's username changes.
"""

from alembic import op
from sqlalchemy import text

from services.chassis import logs
from services.identity.rules.identifiers import canonical_login, username_skeleton

revision = "0005"
down_revision = "0004"

_log = logs.get(__name__)
_COLUMNS = ("email_canonical", "username_canonical", "username_skeleton")


def upgrade() -> None:
    """Add the columns, fill them and let them decide who is unique."""
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE identity.users ADD COLUMN {column} text")
    _fill()
    for column in _COLUMNS:
        op.execute(f"CREATE UNIQUE INDEX users_{column} ON identity.users ({column})")
    op.execute("DROP INDEX identity.users_email, identity.users_username")


def downgrade() -> None:
    """Compare in lower case again."""
    op.execute("CREATE UNIQUE INDEX users_email ON identity.users (lower(email))")
    op.execute("CREATE UNIQUE INDEX users_username ON identity.users (lower(username))")
    for column in _COLUMNS:
        op.execute(f"ALTER TABLE identity.users DROP COLUMN {column}")


def _fill() -> None:
    connection = op.get_bind()
    people = connection.execute(
        text("SELECT id, email, username FROM identity.users ORDER BY email_verified DESC, created_at, id")
    )
    taken: set[tuple[str, str]] = set()
    rows = []
    for user_id, email, username in people:
        forms = (canonical_login(email), canonical_login(username), username_skeleton(username))
        free = {column: form for column, form in zip(_COLUMNS, forms, strict=True) if (column, form) not in taken}
        taken.update(free.items())
        if "email_canonical" not in free or "username_canonical" not in free:
            _log.warning("a user's identifier is another one's too", user_id=str(user_id), lost=_lost(free))
        rows.append({"id": user_id, **dict.fromkeys(_COLUMNS), **free})
    update = text(
        "UPDATE identity.users SET email_canonical = :email_canonical, username_canonical = :username_canonical, "
        "username_skeleton = :username_skeleton, "
        "email_verified = email_verified AND CAST(:email_canonical AS text) IS NOT NULL WHERE id = :id"
    )
    if rows:
        connection.execute(update, rows)


def _lost(free: dict[str, str]) -> str:
    return " ".join(column for column in _COLUMNS[:2] if column not in free)
