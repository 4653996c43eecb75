"""Workers and the whole house die in the middle of calls: nothing is done twice, and approvals are not forgotten."""

import asyncio
import json
import os
import signal
from pathlib import Path

from tests.acceptance.tools.servers import Seen, serving, web
from tests.support.callers import Event, Person, edge_of, eventually, refusal
from tests.support.running_mesh import RunningMesh, running_mesh
from tests.support.stores import free_port


async def _state(person: Person, call_id: str, state: str, seconds: float) -> None:
    async def is_so() -> bool:
        return bool((await person.get(f"/api/v1/tool-calls/{call_id}"))["state"] == f"TOOL_CALL_STATE_{state}")

    await eventually(is_so, seconds=seconds, what=f"a call that is {state}")


async def _asked(seen: Seen, times: int) -> None:
    async def is_so() -> bool:
        return len(seen.requests) >= times

    await eventually(is_so, seconds=30, what=f"request {times}")


async def _begin(person: Person, tool_id: str, request_id: str) -> None:
    """Invoke a tool whose answer is not waited for."""
    await person.ask("POST", f"/api/v1/tools/{tool_id}:invoke", json={"requestId": request_id})


async def test_a_killed_worker_leaves_an_unknown_call_and_a_repeatable_one_is_repeated(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    exceptions = json.dumps([f"127.0.0.1:{port}"])
    with running_mesh(tmp_path / "house", tools_egress_exceptions=exceptions) as mesh:
        async with serving(web(seen), port), edge_of(mesh.url) as edge:
            ann = await edge.register()
            ids = {}
            for name, repeatable in (("once", False), ("often", True)):
                source = {"method": "POST", "url": f"http://127.0.0.1:{port}/slow?{name}"}
                wanted = {"name": name, "http": source, "idempotent": repeatable, "timeoutSeconds": 2}
                ids[name] = (await ann.post("/api/v1/tools", tool=wanted))["id"]
            calls = {name: f"01a1fe14-5fb0-7625-8f9e-00000000000{n}" for n, name in enumerate(ids)}
            begun = [asyncio.create_task(_begin(ann, ids[name], calls[name])) for name in ids]
            await _asked(seen, 2)
            _kill_worker(mesh)
            seen.go_on.set()
            await _state(ann, calls["often"], "SUCCEEDED", 60)
            await _state(ann, calls["once"], "UNKNOWN", 60)
            await asyncio.gather(*begun)
    asked = [path.partition("?")[2] for _, path, _, _ in seen.requests]
    assert asked.count("once") == 1
    assert asked.count("often") == 2


async def test_an_approval_survives_the_restart_of_the_whole_house(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    exceptions = json.dumps([f"127.0.0.1:{port}"])
    with running_mesh(tmp_path / "house", tools_egress_exceptions=exceptions) as mesh:
        async with serving(web(seen), port):
            async with edge_of(mesh.url) as edge:
                ann = await edge.register()
                source = {"method": "POST", "url": f"http://127.0.0.1:{port}/order"}
                tool = await ann.post("/api/v1/tools", tool={"name": "pay", "http": source, "needsApproval": True})
                bot = await ann.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
                run = await ann.say(await ann.open_conversation(botId=bot["id"]), "call pay")

                async def waits() -> bool:
                    return bool((await ann.get("/api/v1/tool-calls:pendingApprovals"))["calls"])

                await eventually(waits, seconds=20, what="a call that waits")
            mesh.stop()
            mesh.start()
            async with edge_of(mesh.url) as edge:
                again = await edge.person(str(ann.user["email"]))
                ((pending),) = (await again.get("/api/v1/tool-calls:pendingApprovals"))["calls"]
                await again.post(f"/api/v1/tool-calls/{pending['id']}:approve")
                last = (await again.hear(run))[-1]
                assert last.data["message"]["text"] == "The tools said: seen 1"
    assert len(seen.requests) == 1


async def test_an_answer_whose_worker_is_killed_after_a_call_goes_on_without_calling_again(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    exceptions = json.dumps([f"127.0.0.1:{port}"])
    with running_mesh(tmp_path / "house", tools_egress_exceptions=exceptions, inference_scripted_delay_ms=400) as mesh:
        async with serving(web(seen), port), edge_of(mesh.url) as edge:
            ann = await edge.register()
            source = {"method": "POST", "url": f"http://127.0.0.1:{port}/order"}
            tool = await ann.post("/api/v1/tools", tool={"name": "order", "http": source})
            bot = await ann.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
            conversation = await ann.open_conversation(botId=bot["id"])
            run = await ann.say(conversation, "call order")
            events: list[Event] = []
            async with ann.listening(run, timeout=120) as stream:
                async for event in stream:
                    if event.kind == "delta" and not any(one.kind == "delta" for one in events):
                        _kill_worker(mesh)
                    events.append(event)
            (_, answer) = (await ann.get(f"{conversation}/messages"))["messages"]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert "restarted" in [event.kind for event in events], "no answer was hit by the kill: the test has shown nothing"
    assert len({event.data["id"] for event in events if event.kind == "tool"}) == 1
    assert answer == events[-1].data["message"]
    assert (answer["text"], [call["result"] for call in answer["toolCalls"]]) == ("The tools said: seen 1", ["seen 1"])
    assert len(seen.requests) == 1


async def test_calls_of_cancelled_runs_are_withdrawn_though_the_worker_is_killed_with_the_end(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    exceptions = json.dumps([f"127.0.0.1:{port}"])
    with running_mesh(tmp_path / "house", tools_egress_exceptions=exceptions) as mesh:
        async with serving(web(seen), port), edge_of(mesh.url) as edge:
            ann = await edge.register()
            source = {"method": "POST", "url": f"http://127.0.0.1:{port}/order"}
            tool = await ann.post("/api/v1/tools", tool={"name": "pay", "http": source, "needsApproval": True})
            bot = await ann.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
            runs = [await ann.say(await ann.open_conversation(botId=bot["id"]), "call pay") for _ in range(20)]
            pending: list[dict[str, str]] = []

            async def all_wait() -> bool:
                pending[:] = (await ann.get("/api/v1/tool-calls:pendingApprovals"))["calls"]
                return len(pending) == len(runs)

            await eventually(all_wait, seconds=60, what="calls that wait")
            cancelling = [asyncio.create_task(ann.post(f"{run}:cancel")) for run in runs]
            await asyncio.wait(cancelling, return_when=asyncio.FIRST_COMPLETED)
            _kill_worker(mesh)
            await asyncio.gather(*cancelling)
            for call in pending:
                await _state(ann, call["id"], "WITHDRAWN", 90)
                refused = await ann.ask("POST", f"/api/v1/tool-calls/{call['id']}:approve", json={})
                refusal(refused, 400, 9, reason="NOT_WAITING")
            assert [(await ann.get(run))["state"] for run in runs] == ["RUN_STATE_CANCELLED"] * len(runs)
    assert seen.requests == []


async def test_a_run_that_waits_for_a_call_outlives_the_services(tmp_path: Path) -> None:
    port, seen = free_port(), Seen()
    exceptions = json.dumps([f"127.0.0.1:{port}"])
    with running_mesh(tmp_path / "house", tools_egress_exceptions=exceptions) as mesh:
        async with serving(web(seen), port), edge_of(mesh.url) as edge:
            ann = await edge.register()
            source = {"method": "POST", "url": f"http://127.0.0.1:{port}/slow"}
            tool = await ann.post("/api/v1/tools", tool={"name": "slow", "http": source, "timeoutSeconds": 60})
            bot = await ann.post("/api/v1/bots", bot={"name": "Helper", "toolIds": [tool["id"]]})
            conversation = await ann.open_conversation(botId=bot["id"])
            run = await ann.say(conversation, "call slow")
            await _asked(seen, 1)
            killed = mesh.pid("services")
            os.kill(killed, signal.SIGKILL)
            seen.go_on.set()

            async def is_answered() -> bool:
                # The edge answers 503 until the services are back.
                found = await ann.ask("GET", run)
                return found.status_code == 200 and found.json()["state"] == "RUN_STATE_SUCCEEDED"

            await eventually(is_answered, seconds=90, what="the answer")
            assert mesh.pid("services") != killed
            (_, answer) = (await ann.get(f"{conversation}/messages"))["messages"]
    assert answer["text"] == "The tools said: at last"
    assert len(seen.requests) == 1


def _kill_worker(mesh: RunningMesh) -> None:
    part = next(name for name in mesh.parts if name.startswith("worker"))
    os.kill(mesh.pid(part), signal.SIGKILL)
