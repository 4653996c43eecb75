"""Whatever a broker gives up can be kept."""

import json
from datetime import UTC, datetime

import pytest

from services.operations.backends.failed_messages import failed_message
from services.operations.rules import FailedMessage

AT = datetime(2026, 3, 1, tzinfo=UTC)


def _read(body: bytes) -> FailedMessage:
    return failed_message("q", body, message_id="m", failure_key="k", failed_at=AT, reason="expired")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff{nope\x00",
        b"[]",
        b"5",
        b'{"kwargs": 5}',
        b'{"options": []}',
        b'{"args": 5}',
        b'{"message_timestamp": 1e300}',
        b'{"message_timestamp": "soon"}',
        b"[" * 100_000,
    ],
    ids=range(10),
)
def test_what_nobody_can_read_is_kept_as_it_is(body: bytes) -> None:
    message = _read(body)
    assert (message.message_id, message.error, message.actor) == ("m", "the message cannot be read", "")
    assert json.loads(message.payload) == {"unreadable": body.decode(errors="replace")}


@pytest.mark.parametrize("text", ["Xin chào", "\ud800", "nul \x00", "\u2028"])
def test_any_text_can_be_stored_and_comes_back(text: str) -> None:
    message = _read(json.dumps({"kwargs": {"text": text, "organization_id": text}, "actor_name": text}).encode())
    assert json.loads(message.payload)["text"] == text
    for stored in (message.payload, message.actor, message.organization_id):
        assert "\x00" not in stored
        stored.encode()


def test_the_last_line_of_the_traceback_is_the_error() -> None:
    options = {
        "retries": 3,
        "traceback": "Traceback …\n  File\nValueError: no\n",
        "traceparent": f"00-{5:032x}-{1:016x}-01",
    }
    message = _read(json.dumps({"options": options, "message_timestamp": 1000}).encode())
    assert (message.error, message.attempts, message.trace_id) == ("ValueError: no", 4, f"{5:032x}")
    assert message.sent_at == datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_a_message_that_no_actor_took_tells_why_the_broker_gave_it_up() -> None:
    message = _read(b'{"actor_name": "gone", "options": {"traceparent": "nonsense"}}')
    assert (message.error, message.attempts, message.trace_id) == ("expired", 0, "")


def test_ids_and_numbers_are_cut_to_what_the_database_holds() -> None:
    message = _read(json.dumps({"message_id": "x" * 9000, "options": {"retries": 10**20}}).encode())
    assert (len(message.message_id), message.attempts) == (500, 2**31 - 1)


def test_what_was_published_twice_for_one_event_failed_once() -> None:
    body = json.dumps({"kwargs": {}, "options": {"event_id": "e"}}).encode()
    twice = [failed_message("q", body, message_id="m", failure_key=key, failed_at=AT, reason="") for key in "ab"]
    assert [message.failure_key for message in twice] == ["e", "e"]
    assert _read(b'{"kwargs": {}}').failure_key == "k"
