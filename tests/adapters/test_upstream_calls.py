"""What the upstream's status, headers and end become, whichever of them comes first: each case is tried many times."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.conftest import Face
from tests.adapters.golden import compile_golden
from tests.adapters.golden_vectors import E
from tests.adapters.raw_upstream import RawUpstream, raw_upstream
from tests.adapters.test_golden import ask
from tests.adapters.upstreams import facing

ROUNDS, AT_ONCE = 300, 20
UNARY = (f"GET {E}/echo/a/1", "")
SERVER_STREAM = (f"GET {E}/a_bit_of_everything", "")
CLIENT_STREAM = (f"POST {E}/a_bit_of_everything/bulk", '{"uuid":"a"}' * 3)
TWO_WAY = (f"POST {E}/a_bit_of_everything/echo", '{"value":"a"}' * 3)
EMPTY_TWO_WAY = (f"POST {E}/a_bit_of_everything/echo", "")
KINDS = {
    "unary": UNARY,
    "server stream": SERVER_STREAM,
    "client stream": CLIENT_STREAM,
    "two-way": TWO_WAY,
    "empty two-way": EMPTY_TWO_WAY,
}
ENVELOPED = ("server stream", "two-way", "empty two-way")


@pytest.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[RawUpstream, Face]]:
    """The adapter in front of the raw upstream."""
    path = compile_golden(Path(tmp_path_factory.mktemp("raw")))
    async with raw_upstream() as (upstream, address), facing(path, address) as face:
        yield upstream, face


async def answers(
    face: Face, request: tuple[str, str], behave: dict[str, Any], *headers: str, rounds: int = ROUNDS
) -> Counter[tuple[int, bool, str]]:
    """Ask many times and count the answers: status, whether the header `a` is there, body."""
    line, body = request
    every = (f"Grpc-Metadata-Behave: {json.dumps(behave)}", *headers)
    slots = asyncio.Semaphore(AT_ONCE)

    async def once() -> tuple[int, bool, str]:
        async with slots:
            status, lines, text = await ask(face.port, line, every, body)
        return status, "grpc-metadata-a: b" in lines, text

    return Counter(await asyncio.gather(*(once() for _ in range(rounds))))


def refusal(kind: str, code: int, message: str) -> str:
    status = f'{{"code":{code},"message":"{message}","details":[]}}'
    return f'{{"error":{status}}}\n' if kind in ENVELOPED else status


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("when", ["headers", "end"])
async def test_a_refusal_keeps_its_status(served: tuple[RawUpstream, Face], kind: str, when: str) -> None:
    behave = {"status": 7, "message": "no", "trailers_only": True, "when": when}
    found = await answers(served[1], KINDS[kind], behave)
    assert found == {(403, False, refusal(kind, 7, "no")): ROUNDS}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_refusal_keeps_its_headers(served: tuple[RawUpstream, Face], kind: str) -> None:
    behave = {"status": 9, "message": "no", "headers": [["a", "b"]], "when": "headers"}
    found = await answers(served[1], KINDS[kind], behave)
    assert found == {(400, True, refusal(kind, 9, "no")): ROUNDS}


@pytest.mark.parametrize("kind", ["server stream", "two-way", "empty two-way"])
@pytest.mark.parametrize("when", ["headers", "end"])
async def test_an_empty_stream_keeps_its_headers(served: tuple[RawUpstream, Face], kind: str, when: str) -> None:
    found = await answers(served[1], KINDS[kind], {"headers": [["a", "b"]], "when": when})
    assert found == {(200, True, ""): ROUNDS}


@pytest.mark.parametrize("kind", ["two-way", "empty two-way"])
async def test_answers_to_what_was_not_read_arrive(served: tuple[RawUpstream, Face], kind: str) -> None:
    behave = {"headers": [["a", "b"]], "messages": ["0a0161", "0a0162"], "when": "headers"}
    found = await answers(served[1], KINDS[kind], behave)
    assert found == {(200, True, '{"result":{"value":"a"}}\n{"result":{"value":"b"}}\n'): ROUNDS}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ends", [{"rst": 8}, {"status": 1, "message": "x", "trailers_only": True}, {}])
@pytest.mark.parametrize("milliseconds", [1, 10])
async def test_a_deadline_is_504(
    served: tuple[RawUpstream, Face], kind: str, ends: dict[str, Any], milliseconds: int
) -> None:
    behave = {**ends, "delay": milliseconds / 1000 if ends else None, "when": "headers"}
    found = await answers(served[1], KINDS[kind], behave, f"Grpc-Timeout: {milliseconds}m", rounds=60)
    assert found == {(504, False, refusal(kind, 4, "context deadline exceeded")): 60}


async def test_the_servers_own_deadline_is_504_too(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = compile_golden(Path(tmp_path_factory.mktemp("own")))
    async with raw_upstream() as (_, address), facing(path, address, default_timeout_seconds=0.01) as face:
        for ends in ({"rst": 8}, {"status": 1, "trailers_only": True}):
            found = await answers(face, UNARY, {**ends, "delay": 0.01}, rounds=60)
            assert {status for status, _, _ in found} == {504}
        # A zero and an empty one are none, as for Go.
        for given in ("Grpc-Timeout: 0S", "Grpc-Timeout:"):
            found = await answers(face, UNARY, {"delay": 0.05, "messages": [""]}, given, rounds=3)
            assert {status for status, _, _ in found} == {200 if given.endswith("0S") else 504}


async def test_a_cancellation_before_the_deadline_stays_one(served: tuple[RawUpstream, Face]) -> None:
    behave = {"status": 1, "message": "x", "trailers_only": True}
    for kind, request in KINDS.items():
        found = await answers(served[1], request, behave, "Grpc-Timeout: 20S", rounds=20)
        assert found == {(499, False, refusal(kind, 1, "x")): 20}


@pytest.mark.parametrize(
    "timeout",
    ["2562047H", "2562048H", "99999999H", "9223372036S", "9223372037S", "18446744073709551615n", "0" * 30 + "9S"],
)
async def test_long_timeouts_are_long(served: tuple[RawUpstream, Face], timeout: str) -> None:
    found = await answers(served[1], UNARY, {"messages": [""]}, f"Grpc-Timeout: {timeout}", rounds=1)
    assert {status for status, _, _ in found} == {200}


@pytest.mark.parametrize("timeout", ["18446744073709551616S", "9" * 30 + "S", "1", "S", "-1S", "1_0S", "1.5S"])
async def test_wrong_timeouts_are_refused(served: tuple[RawUpstream, Face], timeout: str) -> None:
    found = await answers(served[1], UNARY, {"messages": [""]}, f"Grpc-Timeout: {timeout}", rounds=1)
    assert {status for status, _, _ in found} == {400}


@pytest.mark.parametrize("kind", KINDS)
async def test_who_leaves_cancels_at_once(served: tuple[RawUpstream, Face], kind: str) -> None:
    upstream, face = served
    line, body = KINDS[kind]
    began = time.monotonic()
    for number in range(20):
        name = f"{kind} {number}"
        behave = json.dumps({"id": name, "delay": None})
        head = f"{line} HTTP/1.1\r\nHost: a\r\nGrpc-Metadata-Behave: {behave}\r\nContent-Length: {len(body)}\r\n\r\n"
        _, writer = await asyncio.open_connection("127.0.0.1", face.port)
        writer.write(head.encode() + body.encode())
        async with asyncio.timeout(5):
            await upstream.event(upstream.begun, name).wait()
            writer.close()
            await upstream.event(upstream.reset, name).wait()
    # A quarter of a second for each would be five.
    assert time.monotonic() - began < 3


async def test_trailers_that_came_alone_have_the_content_type(served: tuple[RawUpstream, Face]) -> None:
    for behave, trailers in (
        ({"status": 5, "trailers_only": True, "trailers": [["t", "u"]]}, "|grpc-trailer-t: u"),
        ({"status": 5, "trailers_only": True}, ""),
    ):
        header = f"Grpc-Metadata-Behave: {json.dumps(behave)}"
        _, lines, text = await ask(served[1].port, UNARY[0], (header, "TE: trailers"), "")
        assert text.endswith(f"|grpc-trailer-content-type: application/grpc{trailers}")
        assert "trailer: Grpc-Trailer-Content-Type" in lines


@pytest.mark.parametrize("code", [17, 99])
async def test_codes_that_grpc_does_not_know_are_500(served: tuple[RawUpstream, Face], code: int) -> None:
    for request in KINDS.values():
        found = await answers(served[1], request, {"status": code, "message": "odd", "trailers_only": True}, rounds=1)
        ((status, _, text),) = found
        assert status == 500
        assert '"message":"odd"' in text
    detailed = {"status": 17, "message": "odd", "trailers": [["grpc-status-details-bin", "CBESAW0"]]}
    ((_, _, text),) = await answers(served[1], UNARY, detailed, rounds=1)
    assert json.loads(text)["code"] == 17


@pytest.mark.parametrize("kind", ["unary", "client stream"])
async def test_an_upstream_without_an_answer_is_500(served: tuple[RawUpstream, Face], kind: str) -> None:
    ((status, has_headers, text),) = await answers(served[1], KINDS[kind], {"headers": [["a", "b"]]}, rounds=1)
    assert (status, has_headers, json.loads(text)["code"]) == (500, True, 13)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (("Grpc-Metadata-X: a  ",), {"x": "a"}),
        (("Grpc-Metadata-X:  \t a b\t",), {"x": "a b"}),
        (("Authorization:  Bearer x ",), {"authorization": "Bearer x", "grpcgateway-authorization": "Bearer x"}),
        ((), {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "a"}),
        (("X-Forwarded-For: 1.1.1.1",), {"x-forwarded-for": "1.1.1.1, 127.0.0.1"}),
        (
            ("X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2 ", "Grpc-Metadata-X-Forwarded-For: z"),
            {"x-forwarded-for": "z, 1.1.1.1, 2.2.2.2, 127.0.0.1"},
        ),
        (("X-Forwarded-Host: h",), {"x-forwarded-host": "h"}),
        (("X-Forwarded-Host: \u00e9",), {"x-forwarded-host": "a"}),
    ],
)
async def test_headers_that_go_up(
    served: tuple[RawUpstream, Face], headers: tuple[str, ...], expected: dict[str, str]
) -> None:
    behave = f"Grpc-Metadata-Behave: {json.dumps({'reflect': True, 'messages': ['']})}"
    status, lines, _ = await ask(served[1].port, UNARY[0], (behave, *headers), "")
    assert status == 200
    seen = dict(line.removeprefix("grpc-metadata-seen-").split(": ", 1) for line in lines if "metadata-seen-" in line)
    assert {name: seen.get(name) for name in expected} == expected
