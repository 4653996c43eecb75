"""Between the contract's messages and the dataclasses of the rules."""

import json
from typing import cast

from google.api import httpbody_pb2
from parley.identity.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    audit_service_pb2,
    auth_service_pb2,
    organization_pb2,
    user_pb2,
)

from services.chassis.timestamps import time_in, timestamp
from services.identity.rules.accounts import ApiKey, AuditEvent, AuditQuery
from services.identity.rules.organizations import Invitation, Member, MemberRole, Organization
from services.identity.rules.sessions import UserSession
from services.identity.rules.users import PROFILE_DEFAULTS, User


def user_to(user: User) -> user_pb2.User:
    """Return the message of a user."""
    return user_pb2.User(
        id=str(user.user_id),
        email=user.email,
        username=user.username,
        display_name=user.display_name,
        avatar_url=user.avatar_url,
        native_language=user.native_language,
        target_language=user.target_language,
        level=user.level,
        roles=sorted(user.roles),
        is_active=user.is_active,
        create_time=timestamp(user.created_at),
        update_time=timestamp(user.updated_at),
        email_verified=user.email_verified,
        organization_id=str(user.organization_id or ""),
    )


def profile_from(message: user_pb2.User) -> dict[str, str]:
    """Return the values of the fields that a user may change."""
    return {name: getattr(message, name) for name in PROFILE_DEFAULTS}


def session_to(session: UserSession, current_id: str) -> auth_service_pb2.UserSession:
    """Return the message of a session; `current_id` is the caller's."""
    return auth_service_pb2.UserSession(
        id=session.session_id,
        create_time=timestamp(session.created_at),
        last_use_time=timestamp(session.used_at),
        expire_time=timestamp(session.expires_at),
        address=session.address,
        is_current=session.session_id == current_id,
    )


def organization_to(organization: Organization) -> organization_pb2.Organization:
    """Return the message of an organisation."""
    return organization_pb2.Organization(
        id=str(organization.organization_id),
        name=organization.name,
        description=organization.description,
        create_time=timestamp(organization.created_at),
    )


def organization_from(message: organization_pb2.Organization) -> dict[str, str]:
    """Return the values of the fields that a member may change."""
    return {"name": message.name, "description": message.description}


def member_role_from(role: int) -> MemberRole:
    """Return the role that a number of the contract means; a plain member's when none was given."""
    return MemberRole(role or MemberRole.MEMBER)


def member_to(member: Member) -> organization_pb2.Member:
    """Return the message of a member."""
    return organization_pb2.Member(user=user_to(member.user), role=member_role_to(member.role))


def invitation_to(invitation: Invitation) -> organization_pb2.Invitation:
    """Return the message of an invitation; its token is in the mail only."""
    return organization_pb2.Invitation(
        id=str(invitation.invitation_id),
        email=invitation.email,
        role=member_role_to(invitation.role),
        create_time=timestamp(invitation.created_at),
        expire_time=timestamp(invitation.expires_at),
    )


def api_key_to(key: ApiKey) -> api_key_pb2.ApiKey:
    """Return the message of an API key, without its secret."""
    return api_key_pb2.ApiKey(
        id=str(key.api_key_id),
        name=key.name,
        prefix=key.prefix,
        scopes=sorted(key.scopes),
        create_time=timestamp(key.created_at),
        expire_time=timestamp(key.expires_at),
        last_use_time=timestamp(key.last_used_at),
    )


def checked_api_key_to(key: ApiKey, user: User) -> api_key_service_pb2.CheckApiKeyResponse:
    """Return what services need to know of a good key."""
    return api_key_service_pb2.CheckApiKeyResponse(
        api_key_id=str(key.api_key_id),
        user_id=str(user.user_id),
        organization_id=str(user.organization_id or ""),
        scopes=sorted(key.scopes),
        expire_time=timestamp(key.expires_at),
    )


def audit_query_from(request: audit_service_pb2.ListAuditEventsRequest) -> AuditQuery:
    """Return which audit events a request asks for."""
    return AuditQuery(
        request.actor_id,
        request.subject_id,
        request.action,
        time_in(request, "start_time"),
        time_in(request, "end_time"),
    )


def audit_event_to(event: AuditEvent) -> audit_service_pb2.AuditEvent:
    """Return the message of an audit event."""
    return audit_service_pb2.AuditEvent(
        id=str(event.event_id),
        create_time=timestamp(event.at),
        actor_id=event.actor_id,
        action=event.action,
        subject_id=event.subject_id,
        address=event.address,
        request_id=event.request_id,
        outcome=event.outcome,
        details=event.details,
    )


def member_role_to(role: MemberRole) -> organization_pb2.MemberRole.ValueType:
    """Return a role in an organisation for an answer."""
    return cast("organization_pb2.MemberRole.ValueType", int(role))


def json_body(document: dict[str, object]) -> httpbody_pb2.HttpBody:
    """Return a document as an HTTP body."""
    return httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(document).encode())
