"""Reads what a broker gave up: the body of a Dramatiq message."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from services.operations.rules import FailedMessage

EVENT_ID = "event_id"
"""The option of a message that names the outbox event it was published for."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_MAX_ERROR = 1000
# What PostgreSQL's indexes and integers hold: no message may be too strange to be kept.
_MAX_ID = 500
_MAX_ATTEMPTS = 2**31 - 1


def failed_message(
    queue: str, body: bytes, *, message_id: str, failure_key: str, failed_at: datetime, reason: str
) -> FailedMessage:
    """Return the message in `body`. One that cannot be read is kept too, with its body as payload.

    `message_id` and `failure_key` count when the body names none, and `reason` when it tells of no failed attempt.
    """
    try:
        message = _object(json.loads(body))
        options = _object(message.get("options", {}))
        payload, arguments = _object(message.get("kwargs", {})), tuple(message.get("args", ()))
        sent_at = datetime.fromtimestamp(float(message.get("message_timestamp") or 0) / 1000, UTC)
    except (ValueError, TypeError, OverflowError, RecursionError, OSError):
        message, options, arguments, sent_at = {}, {}, (), failed_at
        payload, reason = {"unreadable": body.decode(errors="replace")}, "the message cannot be read"
    traceback = _text(options.get("traceback", ""))
    return FailedMessage(
        queue=queue,
        message_id=(_text(message.get("message_id")) or message_id)[:_MAX_ID],
        # What was published twice, after a crash of the relay, failed once.
        failure_key=_text(options.get(EVENT_ID)) or failure_key,
        actor=_text(message.get("actor_name", "")),
        payload=_json(payload),
        arguments=arguments,
        options=options,
        error=(traceback.strip().rpartition("\n")[2] or reason)[:_MAX_ERROR],
        traceback=traceback,
        trace_id=_trace_id(options),
        organization_id=_text(payload.get("organization_id") or options.get("organization_id") or ""),
        attempts=_attempts(options),
        sent_at=sent_at,
        failed_at=failed_at,
    )


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("no object")
    return value


def _text(value: object) -> str:
    # PostgreSQL stores neither NUL nor half of a surrogate pair in a text.
    return "" if value is None else str(value).replace("\x00", "").encode(errors="replace").decode()


def _json(payload: Mapping[str, object]) -> str:
    try:
        readable = json.dumps(payload, ensure_ascii=False)
        readable.encode()
    except UnicodeEncodeError:
        return json.dumps(payload)
    return readable


def _attempts(options: Mapping[str, object]) -> int:
    retries = options.get("retries")
    # The last attempt of all is not counted among the retries; a message that no actor took was never tried.
    return min(retries + 1, _MAX_ATTEMPTS) if isinstance(retries, int) else 0


def _trace_id(options: Mapping[str, object]) -> str:
    match = _TRACEPARENT.fullmatch(str(options.get("traceparent", "")))
    return match[1] if match else ""
