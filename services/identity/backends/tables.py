"""The tables of the schema `identity`, as the migrations make them."""

from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, DateTime, LargeBinary, MetaData, Row, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

from services.chassis.inbox import inbox_table
from services.chassis.outbox import outbox_table
from services.identity.rules.organizations import Organization
from services.identity.rules.sessions import RefreshToken, Session
from services.identity.rules.users import User

SCHEMA = "identity"

_METADATA = MetaData()
_TIME = DateTime(timezone=True)

USERS = Table(
    "users",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("email", Text),
    Column("username", Text),
    Column("password_hash", Text),
    Column("display_name", Text),
    Column("avatar_url", Text),
    Column("native_language", Text),
    Column("target_language", Text),
    Column("level", Text),
    Column("roles", ARRAY(Text)),
    Column("is_active", Boolean),
    Column("organization_id", Uuid),
    Column("created_at", _TIME),
    Column("updated_at", _TIME),
    Column("email_verified", Boolean),
    Column("email_canonical", Text),
    Column("username_canonical", Text),
    Column("username_skeleton", Text),
    schema=SCHEMA,
)
ORGANIZATIONS = Table(
    "organizations",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("name", Text),
    Column("description", Text),
    Column("created_at", _TIME),
    schema=SCHEMA,
)
SESSIONS = Table(
    "sessions",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("created_at", _TIME),
    Column("expires_at", _TIME),
    Column("ended_at", _TIME),
    Column("used_at", _TIME),
    Column("address", Text),
    schema=SCHEMA,
)
REFRESH_TOKENS = Table(
    "refresh_tokens",
    _METADATA,
    Column("token_hash", LargeBinary, primary_key=True),
    Column("session_id", Uuid),
    Column("expires_at", _TIME),
    Column("spent_at", _TIME),
    schema=SCHEMA,
)

AUDIT_EVENTS = Table(
    "audit_events",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("created_at", _TIME),
    Column("actor_id", Text),
    Column("action", Text),
    Column("subject_id", Text),
    Column("address", Text),
    Column("request_id", Text),
    Column("outcome", Text),
    Column("details", JSONB),
    schema=SCHEMA,
)
MEMBER_ROLES = Table(
    "member_roles",
    _METADATA,
    Column("organization_id", Uuid, primary_key=True),
    Column("user_id", Uuid, primary_key=True),
    Column("role", Text),
    schema=SCHEMA,
)
INVITATIONS = Table(
    "invitations",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid),
    Column("email", Text),
    Column("role", Text),
    Column("token_hash", LargeBinary),
    Column("created_at", _TIME),
    Column("expires_at", _TIME),
    Column("closed_at", _TIME),
    schema=SCHEMA,
)
API_KEYS = Table(
    "api_keys",
    _METADATA,
    Column("id", Uuid, primary_key=True),
    Column("user_id", Uuid),
    Column("name", Text),
    Column("prefix", Text),
    Column("key_hash", LargeBinary),
    Column("scopes", ARRAY(Text)),
    Column("created_at", _TIME),
    Column("expires_at", _TIME),
    Column("last_used_at", _TIME),
    Column("revoked_at", _TIME),
    schema=SCHEMA,
)
REQUESTS = Table(
    "requests",
    _METADATA,
    Column("user_id", Text, primary_key=True),
    Column("request_id", Uuid, primary_key=True),
    Column("content_hash", LargeBinary),
    Column("made_id", Uuid),
    schema=SCHEMA,
)
OUTBOX = outbox_table(_METADATA, SCHEMA)
EVENT_OUTBOX = outbox_table(_METADATA, SCHEMA, "event_outbox")
INBOX = inbox_table(_METADATA, SCHEMA)


def user_of(row: Row[Any]) -> User:
    """Return the user in a row of USERS."""
    return User(
        user_id=row.id,
        email=row.email,
        username=row.username,
        display_name=row.display_name,
        avatar_url=row.avatar_url,
        native_language=row.native_language,
        target_language=row.target_language,
        level=row.level,
        roles=frozenset(row.roles),
        is_active=row.is_active,
        organization_id=row.organization_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        email_verified=row.email_verified,
    )


def organization_of(row: Row[Any]) -> Organization:
    """Return the organisation in a row of ORGANIZATIONS."""
    return Organization(row.id, row.name, row.description, row.created_at)


def session_of(row: Row[Any]) -> Session:
    """Return the session in a row of SESSIONS."""
    return Session(row.id, row.user_id, row.created_at, row.expires_at, row.ended_at, row.used_at, row.address)


def refresh_token_of(row: Row[Any]) -> RefreshToken:
    """Return the refresh token in a row of REFRESH_TOKENS."""
    return RefreshToken(row.token_hash, row.session_id, row.expires_at, row.spent_at)
