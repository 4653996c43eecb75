"""Between the contract's messages and the dataclasses of the rules."""

import json

from google.api import httpbody_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from parley.identity.v1 import user_pb2

from services.identity.rules.users import PROFILE_DEFAULTS, User


def user_to(user: User) -> user_pb2.User:
    """Return the message of a user."""
    message = user_pb2.User(
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
        create_time=Timestamp(),
        update_time=Timestamp(),
    )
    message.create_time.FromDatetime(user.created_at)
    message.update_time.FromDatetime(user.updated_at)
    return message


def profile_from(message: user_pb2.User) -> dict[str, str]:
    """Return the values of the fields that a user may change."""
    return {name: getattr(message, name) for name in PROFILE_DEFAULTS}


def json_body(document: dict[str, object]) -> httpbody_pb2.HttpBody:
    """Return a document as an HTTP body."""
    return httpbody_pb2.HttpBody(content_type="application/json", data=json.dumps(document).encode())
