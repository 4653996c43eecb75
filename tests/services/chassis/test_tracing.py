"""A trace goes on over every border, and begins where there was none."""

import asyncio
import re

import pytest
import structlog

from services.chassis import tracing

_GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_given_trace_goes_on_and_stands_in_the_logs() -> None:
    with tracing.continued({"traceparent": _GIVEN, "tracestate": "vendor=1"}) as trace_id:
        assert trace_id == "0af7651916cd43dd8448eb211c80319c"
        assert tracing.headers() == {"traceparent": _GIVEN, "tracestate": "vendor=1"}
        assert structlog.contextvars.get_contextvars()["trace_id"] == trace_id
    assert tracing.headers() == {}
    assert "trace_id" not in structlog.contextvars.get_contextvars()


@pytest.mark.parametrize("given", [{}, {"traceparent": "junk"}, {"traceparent": 7}, {"traceparent": "00-" + "0" * 32}])
def test_without_one_that_is_good_a_trace_begins(given: dict[str, object]) -> None:
    with tracing.continued(given) as trace_id:
        assert re.fullmatch(r"[0-9a-f]{32}", trace_id)
        assert trace_id in tracing.headers()["traceparent"]


async def test_a_task_has_a_trace_of_its_own() -> None:
    async def work() -> tuple[str, dict[str, str]]:
        begun = tracing.begin({})
        await asyncio.sleep(0)
        return begun, tracing.headers()

    found = await asyncio.gather(*[asyncio.create_task(work()) for _ in range(5)])
    assert len({begun for begun, _ in found}) == 5
    assert all(begun in headers["traceparent"] for begun, headers in found)
    assert tracing.headers() == {}


async def test_a_new_trace_is_named_after_the_request() -> None:
    request_id = "772d5a4a-d731-4afa-952e-ca292b545f6f"
    assert await asyncio.create_task(_begun({}, request_id)) == "772d5a4ad7314afa952eca292b545f6f"
    assert await asyncio.create_task(_begun({"traceparent": _GIVEN}, request_id)) == _GIVEN.split("-")[1]
    for unfit in ("", "abc-1", "0" * 32, "z" * 32):
        begun = await asyncio.create_task(_begun({}, unfit))
        assert len(begun) == 32
        assert begun not in (unfit, "0" * 32)


async def _begun(carrier: dict[str, object], request_id: str) -> str:
    return tracing.begin(carrier, request_id)
