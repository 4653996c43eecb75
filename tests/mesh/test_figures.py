"""What a whole house tells Prometheus, held against the operators' guide and the dashboard."""

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.support.callers import Person
from tests.support.running_mesh import RunningMesh
from tests.support.scrapes import Scrape, scraped

_ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| `([a-z_]+)` \| (counter|gauge|histogram)(?:, ([a-z]+))? \| ([^|]*) \| (.+) \|$", re.MULTILINE)
_LANGUAGE = {"by", "sum", "max", "rate", "topk", "histogram_quantile", "__rate_interval"}
# What prometheus_client tells of any process.
_OF_PROCESSES = "process_"


def _ports(mesh: RunningMesh) -> dict[str, int]:
    ports: dict[str, int] = json.loads((mesh.home / "run" / "ports.json").read_text())
    return ports


async def _told(mesh: RunningMesh, part: str, is_right: Callable[[Scrape], bool] = lambda _: True) -> Scrape:
    """Ask a part until it tells what is wanted: a worker counts an answer a moment after its reader has it."""
    async with asyncio.timeout(60):
        while not is_right(told := await scraped(_ports(mesh)[f"metrics-{part}"])):
            await asyncio.sleep(0.1)
    return told


async def test_an_answer_leaves_its_figures_in_every_part(mesh: RunningMesh, ada: Person) -> None:
    services, worker = await _told(mesh, "services"), await _told(mesh, "worker")
    conversation = await ada.open_conversation()
    assert await ada.answer(conversation, "hello") == "You said: hello"
    ended = "parley_answer_duration_seconds_count"
    job = {"messaging_destination_name": "incoming", "outcome": "succeeded"}
    jobs = "messaging_process_duration_seconds_count"
    after = await _told(
        mesh, "worker", lambda told: told.value(ended, state="succeeded") > worker.value(ended, state="succeeded")
    )
    assert after.value(jobs, **job) > worker.value(jobs, **job)
    first = "parley_answer_time_to_first_text_seconds_count"
    assert after.value(first) > worker.value(first)
    told = await _told(mesh, "services")
    for sample, labels in {
        "parley_answers_accepted_total": {},
        "parley_outbox_published_total": {"outbox": "conversations.outbox"},
        "gen_ai_client_operation_duration_seconds_count": {"gen_ai_request_model": "scripted"},
        "rpc_server_call_duration_seconds_count": {
            "rpc_method": "parley.conversations.v1.MessageService/SendMessage",
            "rpc_response_status_code": "OK",
        },
    }.items():
        assert told.value(sample, **labels) > services.value(sample, **labels), sample
    assert {series.labels["state"] for series in told.families["parley_runs"].samples} == {"queued", "running"}


async def test_the_guide_tells_of_every_figure_and_of_no_other(mesh: RunningMesh, ada: Person) -> None:
    await ada.answer(await ada.open_conversation(), "hello")
    families = (await _told(mesh, "services")).families | (await _told(mesh, "worker")).families
    rows = {row[0]: row[1:] for row in _ROW.findall((_ROOT / "docs" / "operations.md").read_text())}
    told = {
        name + ("_total" if family.type == "counter" else ""): family
        for name, family in families.items()
        if not name.startswith(_OF_PROCESSES)
    }
    assert set(rows) == set(told)
    for name, family in told.items():
        kind, unit, labels, meaning = rows[name]
        assert (family.type, family.documentation) == (kind, meaning), name
        assert (unit == "seconds") == family.name.endswith("_seconds"), name
        listed = set(re.findall(r"`([a-z_]+)`", labels))
        assert {label for series in family.samples for label in series.labels} - {"le"} <= listed, name


async def test_the_dashboard_asks_only_for_figures_that_there_are(mesh: RunningMesh) -> None:
    told = (await _told(mesh, "services")).samples() | (await _told(mesh, "worker")).samples()
    async with httpx.AsyncClient() as client:
        envoy = (await client.get(f"http://127.0.0.1:{_ports(mesh)['admin']}/stats/prometheus")).text
    told |= set(re.findall(r"^([a-z_0-9]+)[{ ]", envoy, re.MULTILINE))
    board = json.loads((_ROOT / "deploy" / "grafana" / "parley.json").read_text())
    queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
    assert len(queries) > 30
    for query in queries:
        assert _names(query), query
        assert _names(query) <= told, query


def _names(query: str) -> set[str]:
    """Return the figures in a query: what is left without the labels and PromQL's own words."""
    bare = re.sub(r"\{[^}]*\}|by \([^)]*\)", "", query)
    return set(re.findall(r"[a-z_][a-z_0-9]*", bare)) - _LANGUAGE
