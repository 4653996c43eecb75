"""What tools decide: sources, and what becomes of a call whose worker is gone."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from services.tools.errors import FieldNotUpdatable, SourceInvalid
from services.tools.rules import (
    MAX_CLAIMS,
    Call,
    CallState,
    GrpcSource,
    HttpSource,
    McpSource,
    Source,
    Tool,
    after_a_crash,
    check_source,
    lease_seconds,
    pause,
    secret_name,
    updated,
)

ID = UUID(int=1)
TOOL = Tool(ID, "weather", "", "{}", HttpSource("GET", "https://weather.example/{city}"))
CALL = Call(ID, ID, "weather", 1, "{}", CallState.RUNNING, "ann", datetime(2026, 1, 1, tzinfo=UTC), attempt=1)


@pytest.mark.parametrize(
    ("source", "has_secrets"),
    [
        (HttpSource("GET", ""), False),
        (HttpSource("", "https://a.example/"), False),
        (HttpSource("GET", "https://{host}.example/"), False),
        (HttpSource("GET", "{scheme}://a.example/"), False),
        (HttpSource("GET", "https://a.example/?q={q}"), False),
        (HttpSource("GET", "https://a.example/{a"), False),
        (HttpSource("GET", "https://a.example/", (), (("Host", "b.example"),)), False),
        (HttpSource("GET", "https://a.example/", (), (("idempotency-key", "1"),)), False),
        (HttpSource("POST", "https://a.example/", header_arguments=("Host",)), False),
        (HttpSource("GET", "https://a.example/", body_argument="b"), False),
        (HttpSource("POST", "https://a.example/", body_argument="b", form=True), False),
        (GrpcSource("a.example:443", "/a.B/C", b""), False),
        (GrpcSource("a.example:443", "/a.B/C", b"x", plaintext=True), True),
        (McpSource("https://a.example/", "command", "t"), False),
        (McpSource("", "", "t"), False),
        (McpSource("https://a.example/", "", ""), False),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(source: Source, has_secrets: bool) -> None:
    with pytest.raises(SourceInvalid):
        check_source(source, has_secrets)


def test_a_mask_changes_what_it_names() -> None:
    wanted = replace(TOOL, name="rain", retries=3, source=McpSource("https://m.example/", "", "t"))
    assert updated(TOOL, wanted, ["retries"], ["name"]) == replace(TOOL, retries=3)
    assert updated(TOOL, wanted, [], ["name"]) == replace(TOOL, name="rain")
    assert updated(TOOL, wanted, ["mcp"], []).source == wanted.source
    for path in ("id", "etag", "http.url", "tool_id", "http", "mcp.", "mcp.x", "mcp.__class__", "mcp.url.x", "name.x"):
        with pytest.raises(FieldNotUpdatable):
            updated(TOOL, wanted, [path], [])


def test_an_update_changes_one_field_of_a_source_and_leaves_the_others() -> None:
    there = HttpSource("POST", "https://1.1.1.1/a", ("q",), (("X", "y"),))
    tool = replace(TOOL, source=there)
    moved = replace(TOOL, source=HttpSource("", "https://1.1.1.1/b"))
    assert updated(tool, moved, ["http.url"], []).source == replace(there, url="https://1.1.1.1/b")
    assert updated(tool, moved, ["http"], []).source == moved.source
    emptied = updated(tool, moved, ["http.headers", "http.query"], []).source
    assert emptied == HttpSource("POST", "https://1.1.1.1/a")
    # Of a source of another kind nothing is kept.
    server = replace(TOOL, source=McpSource("https://1.1.1.1/mcp", "", "look"))
    assert updated(tool, server, ["mcp.url", "mcp.tool"], []).source == server.source


def test_a_call_whose_worker_is_gone_is_repeated_only_if_that_does_no_harm() -> None:
    lost = after_a_crash(TOOL, CALL)
    assert lost is not None
    assert (lost.state, lost.error_reason) == (CallState.UNKNOWN, "OUTCOME_UNKNOWN")
    assert after_a_crash(replace(TOOL, idempotent=True), CALL) is None
    given_up = after_a_crash(replace(TOOL, idempotent=True), replace(CALL, attempt=MAX_CLAIMS))
    assert given_up is not None
    assert given_up.state is CallState.FAILED
    gone = after_a_crash(None, CALL)
    assert gone is not None
    assert gone.state is CallState.UNKNOWN


def test_a_worker_is_given_up_only_after_every_try_and_every_pause() -> None:
    for seconds, retries in ((1, 0), (30, 0), (30, 2), (120, 5)):
        tries = seconds * (retries + 1) + sum(pause(number) for number in range(retries))
        assert lease_seconds(replace(TOOL, timeout_seconds=seconds, retries=retries)) > tries + 5


def test_an_owner_cannot_name_the_secret_of_another() -> None:
    assert secret_name("user:7f", "key") == "tools/user-7f-key"
    assert secret_name("organization:7f", "key") != secret_name("user:7f", "key")
