"""What Prometheus is told of the dispatcher."""

from services.chassis import metrics
from services.chassis.owners import Who
from services.tools.backends.call_figures import open_calls
from tests.acceptance.tools.conftest import House
from tests.support.scrapes import Scrape, scraped
from tests.support.stores import free_port


async def _told(house: House) -> Scrape:
    port = free_port()
    with metrics.looking(open_calls(house.database)):
        async with metrics.exposed(f"127.0.0.1:{port}"):
            return await scraped(port)


async def test_calls_and_their_tries_are_counted_by_kind_and_end(house: House, ann: Who) -> None:
    before = await _told(house)
    house.seen.failures = 2
    flaky = await house.tool(ann, "/flaky?status=503", idempotent=True, retries=2)
    strict = await house.tool(ann, "/order", schema='{"type": "object", "required": ["city"]}')
    await house.done(ann, flaky, strict)
    after = await _told(house)

    def added(sample: str, **labels: str) -> float:
        return after.value(sample, kind="http", **labels) - before.value(sample, kind="http", **labels)

    assert added("parley_tool_call_duration_seconds_count", state="succeeded") == 1
    assert (
        added("parley_tool_tries_total", outcome="failed"),
        added("parley_tool_tries_total", outcome="succeeded"),
    ) == (
        2,
        1,
    )


async def test_open_calls_are_counted_by_state(house: House, ann: Who) -> None:
    before = await _told(house)
    risky = await house.tool(ann, "/order", needs_approval=True)
    await house.request(ann, risky, await house.tool(ann, "/order"))
    after = await _told(house)
    for state in ("requested", "waiting_for_approval"):
        assert after.value("parley_tool_calls", state=state) == before.value("parley_tool_calls", state=state) + 1
