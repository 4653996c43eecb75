"""Frames of clients: what they say is read, and nothing else gets through."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.websocket.commands import KINDS, Command, FrameInvalid, read_frame

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
PARAMS = st.dictionaries(st.text(), JSON, max_size=4)
COMMANDS = st.lists(
    st.tuples(st.integers(1, 2**32 - 1), st.sampled_from(sorted(KINDS)), PARAMS), min_size=1, max_size=5
)


@given(COMMANDS, st.booleans())
def test_every_command_of_a_frame_is_read(commands: list[tuple[int, str, dict[str, Any]]], is_binary: bool) -> None:
    text = "\n".join(json.dumps({"id": number, kind: params}) for number, kind, params in commands) + "\n"
    read = read_frame(text.encode() if is_binary else text)
    assert [(command.id, command.kind) for command in read] == [(number, kind) for number, kind, _ in commands]
    assert [command.params for command in read] == [params for _, _, params in commands]


@given(st.binary() | st.text() | JSON.map(json.dumps))
def test_any_other_frame_is_refused(frame: bytes | str) -> None:
    try:
        commands = read_frame(frame)
    except FrameInvalid:
        return
    assert all(command.is_pong or command.kind in KINDS for command in commands)


def test_an_empty_object_is_a_pong() -> None:
    assert [command.is_pong for command in read_frame('{}\n{"id":1,"ping":{}}')] == [True, False]


def test_what_is_not_known_is_ignored() -> None:
    assert read_frame('{"id":1,"rpc":{"method":"m"},"later":{}}') == [Command(1, "rpc", {"method": "m"})]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "\n \n",
        "nonsense",
        "[]",
        "[" * 10_000,
        '{"id":1}',
        '{"id":-1,"ping":{}}',
        '{"id":true,"ping":{}}',
        '{"id":4294967296,"ping":{}}',
        '{"id":"1","ping":{}}',
        '{"ping":{}}',
        '{"id":1,"ping":[]}',
        '{"id":1,"ping":{},"rpc":{}}',
        '{"id":1,"ping":{}} {"id":2,"ping":{}}',
        b"\xff",
    ],
)
def test_a_malformed_frame_is_refused(frame: str | bytes) -> None:
    with pytest.raises(FrameInvalid):
        read_frame(frame)


def test_parameters_have_their_types() -> None:
    command = Command(1, "subscribe", {"channel": 1, "recover": 1, "offset": 2.0, "epoch": "e"})
    assert (command.text("epoch"), command.text("token"), command.flag("positioned"), command.number("limit")) == (
        *("e", ""),
        *(False, 0),
    )
    for read in (lambda: command.text("channel"), lambda: command.flag("recover"), lambda: command.number("offset")):
        with pytest.raises(FrameInvalid):
            read()
