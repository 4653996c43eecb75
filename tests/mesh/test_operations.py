"""The desk of operators through the whole house: Envoy, the REST adapter, a real broker and a real worker."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor
from parley.operations.v1.dead_letter_service_pb2 import ListDeadLettersRequest, ListDeadLettersResponse

from tests.mesh import contract
from tests.support.callers import Json, Person, edge_of, eventually, refusal
from tests.support.mailbox import Mailbox
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD, PARLEY, RunningMesh, running_mesh

LETTERS = "/api/v1/admin/dead-letters"
SCHEDULES = "/api/v1/admin/schedules"
OPERATIONS = "/api/v1/admin/operations"
ACTIONS = "/api/v1/admin/actions"
FAILED = "failed_events.user_paid.notifier"
UNKNOWN_ID = "0198b6d4-0000-7000-8000-000000000000"
METHODS = [method for method in contract.methods() if method.containing_service.file.package == "parley.operations.v1"]


@dataclass
class Office:
    """A house in which schedules may start an actor that is not there: its jobs fail at once."""

    mesh: RunningMesh
    admin: Person

    async def fail(self, count: int, **payload: object) -> str:
        """Let jobs fail for good and return a word that is in all of their payloads, once they are on the desk."""
        word = uuid4().hex
        schedule = await self.schedule(json.dumps({"word": word, **payload}))
        for _ in range(count):
            await self.admin.post(f"{SCHEDULES}/{schedule['id']}:run")

        async def listed() -> bool:
            return len(await self.letters(word)) == count

        await eventually(listed, seconds=60, what=f"{count} dead letters")
        return word

    async def schedule(self, payload: str = "{}", **fields: object) -> Json:
        target = {"queue": "incoming", "actor": "nobody", "payload": payload}
        made: Json = await self.admin.post(SCHEDULES, **{"cron": "0 0 1 1 *", "target": target, **fields})
        return made

    async def letters(self, word: str, **filters: str) -> list[Json]:
        chosen = {"filter.text": word} | {f"filter.{name}": value for name, value in filters.items()}
        found: list[Json] = (await self.admin.get(LETTERS, pageSize=1000, **chosen))["deadLetters"]
        return found

    def parley(self, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """Run the command line as the administrator."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        environment |= {"PARLEY_EDGE_URL": self.mesh.url, "PARLEY_TOKEN": token or self.admin.token, "COLUMNS": "200"}
        return subprocess.run(
            [PARLEY, *arguments], env=environment, cwd=self.mesh.home, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    with running_mesh(
        tmp_path_factory.mktemp("office"), operations_targets=f"incoming,incoming:nobody,{FAILED}"
    ) as mesh:
        yield mesh


@pytest.fixture(scope="module")
async def office(house: RunningMesh) -> AsyncIterator[Office]:
    async with edge_of(house.url) as edge:
        yield Office(house, await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD))


async def test_an_event_that_nobody_could_deal_with_is_mended_and_reaches_its_group(office: Office) -> None:
    ann = await office.admin.edge.register()
    paid = {"payment_id": "1", "user_id": ann.id, "amount": "much", "currency": "EUR"}
    event = {"topic": "user_paid", "group": "notifier", "event_id": str(uuid4()), "key": ann.id, "payload": paid}
    target = {"queue": FAILED, "actor": FAILED, "payload": json.dumps(event)}
    schedule = await office.admin.post(SCHEDULES, cron="0 0 1 1 *", target=target)
    await office.admin.post(f"{SCHEDULES}/{schedule['id']}:run")

    async def listed() -> bool:
        return len(await office.letters(ann.id)) == 1

    await eventually(listed, seconds=30, what="the dead event")
    (letter,) = await office.letters(ann.id)
    assert letter["queue"] == FAILED
    assert "no event of the topic user_paid" in letter["error"]
    path = f"{LETTERS}/{letter['id']}"
    mended = json.dumps(event | {"payload": paid | {"amount": "500"}})
    assert (await office.admin.ask("PATCH", path, json={"payload": mended})).status_code == 200
    await office.admin.post(f"{path}:replay")
    mailbox = Mailbox(office.mesh.home)

    async def mailed() -> bool:
        return any("We have received 5.00 EUR" in text for text in mailbox.texts(str(ann.user["email"])))

    await eventually(mailed, seconds=30, what="the mail about the payment")


async def test_a_job_that_failed_for_good_is_mended_replayed_and_let_go(office: Office) -> None:
    word = await office.fail(1)
    (listed,) = await office.letters(word)
    assert (listed["state"], listed["queue"], listed["actor"]) == ("DEAD_LETTER_STATE_OPEN", "incoming", "nobody")
    assert (listed["payload"], listed["traceback"]) == ("", "")
    path = f"{LETTERS}/{listed['id']}"
    letter = await office.admin.get(path)
    assert json.loads(letter["payload"]) == {"word": word}
    assert letter["error"]
    changed = await office.admin.ask(
        "PATCH", path, json={"payload": json.dumps({"word": word, "mended": True}), "etag": letter["etag"]}
    )
    assert changed.status_code == 200, changed.text
    stale = await office.admin.ask("PATCH", path, json={"payload": "{}", "etag": letter["etag"]})
    refusal(stale, 409, 10, reason="ETAG_MISMATCH")
    refusal(await office.admin.ask("PATCH", path, json={"payload": "[]"}), 400, 3, field="payload")
    assert (await office.admin.post(f"{path}:replay"))["state"] == "DEAD_LETTER_STATE_REPLAYED"

    async def came_back() -> bool:
        return bool((await office.admin.get(path))["failures"] == 2)

    await eventually(came_back, seconds=30, what="the letter whose replay failed too")
    again = await office.admin.get(path)
    assert (again["state"], again["messageId"]) == ("DEAD_LETTER_STATE_OPEN", letter["messageId"])
    assert json.loads(again["payload"]) == {"word": word, "mended": True}
    assert (await office.admin.post(f"{path}:discard"))["closedBy"] == office.admin.id
    for verb in ("replay", "discard"):
        refusal(await office.admin.ask("POST", f"{path}:{verb}", json={}), 400, 9, reason="DEAD_LETTER_CLOSED")
    actions = (await office.admin.get(ACTIONS, subjectId=letter["id"]))["actions"]
    assert [(action["verb"], action["actorId"]) for action in actions] == [
        (verb, office.admin.id) for verb in ("discard", "replay", "update")
    ]
    assert await office.letters(word, state="DEAD_LETTER_STATE_OPEN") == []


async def test_many_are_replayed_by_an_operation(office: Office) -> None:
    word = await office.fail(12)
    chosen = {"filter": {"text": word, "queue": "incoming"}}
    counted = await office.admin.post(f"{LETTERS}:replay", **chosen, dryRun=True)
    assert (counted["done"], counted["response"]["total"], counted["response"]["dryRun"]) == (True, 12, True)
    assert counted["response"]["@type"] == "type.googleapis.com/parley.operations.v1.ReplayDeadLettersResult"
    request_id = str(uuid4())
    begun = await office.admin.post(f"{LETTERS}:replay", **chosen, ratePerSecond=6, requestId=request_id)
    assert (begun["done"], begun["metadata"]["total"]) == (False, 12)
    path = f"/api/v1/admin/{begun['name']}"
    refusal(await office.admin.ask("DELETE", path), 400, 9, reason="OPERATION_RUNNING")
    same = await office.admin.post(f"{LETTERS}:replay", **chosen, ratePerSecond=6, requestId=request_id)
    assert same["name"] == begun["name"]
    ended = await office.admin.post(f"{path}:wait", timeout="20s")
    assert (ended["done"], ended["response"]["replayed"], ended["metadata"]["replayed"]) == (True, 12, 12)
    assert ended["metadata"]["createdBy"] == office.admin.id
    assert (await office.admin.get(path))["done"] is True
    assert begun["name"] in [one["name"] for one in (await office.admin.get(OPERATIONS))["operations"]]
    await office.admin.post(f"{path}:cancel")
    await office.admin.delete(path)
    refusal(await office.admin.ask("GET", path), 404, 5, reason="OPERATION_NOT_FOUND")
    bad = {"filter": {"state": "DEAD_LETTER_STATE_DISCARDED"}}
    refusal(await office.admin.ask("POST", f"{LETTERS}:replay", json=bad), 400, 3, field="filter.state")


async def test_a_replay_goes_on_where_it_was_after_the_services_were_killed(office: Office) -> None:
    word = await office.fail(40)
    begun = await office.admin.post(f"{LETTERS}:replay", filter={"text": word}, ratePerSecond=8)
    path = f"/api/v1/admin/{begun['name']}"

    async def under_way() -> bool:
        replayed: int = (await office.admin.get(path))["metadata"]["replayed"]
        return 0 < replayed < 40

    await eventually(under_way, seconds=20, what="a replay that is under way")
    os.kill(office.mesh.pid("services"), signal.SIGKILL)

    async def ended() -> bool:
        answer = await office.admin.ask("GET", path)
        return answer.status_code == 200 and bool(answer.json()["done"])

    await eventually(ended, seconds=90, what="the end of the replay")
    assert (await office.admin.get(path))["response"]["replayed"] == 40

    async def all_back() -> bool:
        answer = await office.admin.ask("GET", LETTERS, params={"filter.text": word, "pageSize": "100"})
        return answer.status_code == 200 and all(one["failures"] == 2 for one in answer.json()["deadLetters"])

    await eventually(all_back, seconds=60, what="forty letters that came back once each")


async def test_the_life_of_a_schedule(office: Office) -> None:
    made = await office.schedule(name="new year", timeZone="Asia/Ho_Chi_Minh")
    path = f"{SCHEDULES}/{made['id']}"
    assert made["nextTime"].endswith("-12-31T17:00:00Z")
    changed = await office.admin.ask("PATCH", path, json={"cron": "0 9 * * *", "etag": made["etag"]})
    assert changed.json()["nextTime"].endswith("T02:00:00Z"), changed.text
    refusal(await office.admin.ask("PATCH", path, json={"name": "x", "etag": made["etag"]}), 409, 10)
    assert (await office.admin.post(f"{path}:pause"))["nextTime"] is None
    assert (await office.admin.post(f"{path}:resume"))["paused"] is False
    fire = await office.admin.post(f"{path}:run")
    assert (await office.admin.get(f"{path}/fires"))["fires"] == [fire]
    assert (await office.admin.get(path))["name"] == "new year"
    assert made["id"] in [one["id"] for one in (await office.admin.get(SCHEDULES))["schedules"]]
    await office.admin.delete(path)
    refusal(await office.admin.ask("GET", path), 404, 5, reason="SCHEDULE_NOT_FOUND")


async def test_a_schedule_fires_by_itself(office: Office) -> None:
    made = await office.schedule(cron="", onceTime="2026-01-01T00:00:00Z")
    path = f"{SCHEDULES}/{made['id']}"

    async def fired() -> bool:
        return bool((await office.admin.get(f"{path}/fires"))["fires"])

    await eventually(fired, seconds=20, what="a fire")
    (fire,) = (await office.admin.get(f"{path}/fires"))["fires"]
    assert (fire["kind"], fire["dueTime"]) == ("FIRE_KIND_DUE", "2026-01-01T00:00:00Z")
    assert (await office.admin.get(path))["nextTime"] is None


async def test_the_next_times_can_be_asked_for(office: Office) -> None:
    asked = {"cron": "30 2 * * *", "timeZone": "Europe/Berlin", "afterTime": "2026-03-28T00:00:00Z", "count": 3}
    told = await office.admin.post(f"{SCHEDULES}:preview", **asked)
    assert told["times"] == ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "nonsense"}, "cron"),
        ({"cron": ""}, "cron"),
        ({"cron": "x" * 201}, "schedule.cron"),
        ({"timeZone": "Mars"}, "time_zone"),
        ({"target": {"queue": "users", "actor": "drop"}}, "target"),
        ({"target": {"actor": "nobody"}}, "schedule.target.queue"),
        ({"target": {"queue": "incoming", "actor": "nobody", "payload": "5"}}, "payload"),
        ({"catchUpLimit": 1001}, "schedule.catch_up_limit"),
        ({"missedRunPolicy": 9}, "schedule.missed_run_policy"),
    ],
)
async def test_a_bad_schedule_is_refused(office: Office, fields: Json, field: str) -> None:
    good = {"cron": "* * * * *", "target": {"queue": "incoming", "actor": "nobody"}}
    refusal(await office.admin.ask("POST", SCHEDULES, json=good | fields), 400, 3, field=field)


@pytest.mark.parametrize("method", METHODS, ids=contract.name)
async def test_the_desk_is_for_operators_only(office: Office, method: MethodDescriptor) -> None:
    ada = await office.admin.edge.register()
    request = contract.request(method).SerializeToString()
    channel: Any = ada.edge.channel
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await channel.unary_unary(contract.path(method))(request, metadata=ada.metadata)
    assert failure.value.code() is grpc.StatusCode.PERMISSION_DENIED
    for route in contract.routes(method):
        path = route.template.replace("{", "").replace("}", "")
        refusal(await ada.ask(route.method, path), 403, 7)


@pytest.mark.parametrize("path", [LETTERS, SCHEDULES, OPERATIONS])
async def test_what_is_not_there_is_not_found(office: Office, path: str) -> None:
    refusal(await office.admin.ask("GET", f"{path}/{UNKNOWN_ID}"), 404, 5)
    refusal(await office.admin.ask("GET", f"{path}/nonsense"), 400, 3)


async def test_it_is_there_over_grpc_too(office: Office) -> None:
    word = await office.fail(3)
    request = ListDeadLettersRequest(page_size=2)
    request.filter.text = word
    call = office.admin.edge.channel.unary_unary(
        "/parley.operations.v1.DeadLetterService/ListDeadLetters",
        request_serializer=ListDeadLettersRequest.SerializeToString,
        response_deserializer=ListDeadLettersResponse.FromString,
    )
    first = await call(request, metadata=office.admin.metadata)
    request.page_token = first.next_page_token
    second = await call(request, metadata=office.admin.metadata)
    assert len({one.id for one in [*first.dead_letters, *second.dead_letters]}) == 3


async def test_an_operator_works_from_the_command_line(office: Office) -> None:
    word = await office.fail(3, note="\x1b[31m[bold]red")
    ids = [letter["id"] for letter in await office.letters(word)]
    listed = await asyncio.to_thread(office.parley, "dead-letters", "list", "--text", word)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert all(one in listed.stdout for one in ids)
    as_json = await asyncio.to_thread(office.parley, "dead-letters", "list", "--text", word, "--json")
    assert [one["id"] for one in json.loads(as_json.stdout)] == ids
    shown = await asyncio.to_thread(office.parley, "dead-letters", "show", ids[0])
    assert word in shown.stdout
    assert "[bold]red" in shown.stdout
    assert "\x1b[31m" not in shown.stdout
    replayed = await asyncio.to_thread(office.parley, "dead-letters", "replay", ids[0])
    assert replayed.stdout == f"{ids[0]} replayed\n"
    discarded = await asyncio.to_thread(office.parley, "dead-letters", "discard", ids[1])
    assert (discarded.returncode, discarded.stdout) == (0, f"{ids[1]} discarded\n")
    again = await asyncio.to_thread(office.parley, "dead-letters", "discard", ids[1])
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.startswith(f"parley dead-letters: dead letter {ids[1]} is discarded already")
    counted = await asyncio.to_thread(office.parley, "dead-letters", "replay", "--all", "--text", word, "--dry-run")
    assert "would be replayed." in counted.stdout
    run = await asyncio.to_thread(office.parley, "dead-letters", "replay", "--all", "--text", word)
    assert run.returncode == 0, run.stderr
    assert "replayed." in run.stdout


async def test_an_operator_keeps_schedules_from_the_command_line(office: Office) -> None:
    arguments = [
        "--cron",
        "0 9 * * MON-FRI",
        "--queue",
        "incoming",
        "--actor",
        "nobody",
        "--name",
        "mornings",
        "--json",
    ]
    made = json.loads((await asyncio.to_thread(office.parley, "schedules", "create", *arguments)).stdout)
    for action, words in (
        ("pause", "rests"),
        ("resume", "goes on"),
        ("run", "started"),
        ("show", "by hand"),
        ("delete", "deleted"),
    ):
        done = await asyncio.to_thread(office.parley, "schedules", action, made["id"])
        assert (done.returncode, words in done.stdout) == (0, True), (action, done.stdout, done.stderr)
        listed = await asyncio.to_thread(office.parley, "schedules", "list")
        assert ("mornings" in listed.stdout) is (action != "delete")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["dead-letters", "replay"], "name the dead letters to replay, or give --all"),
        (["dead-letters", "show", "nonsense"], "must be a UUID"),
        (["dead-letters", "show", UNKNOWN_ID], "there is no dead letter"),
        (["schedules", "create", "--once", "soon", "--queue", "incoming"], "--once: soon is no time"),
        (["schedules", "list", "--edge", "ftp://x"], "the edge must be given as"),
        (["schedules", "list", "--edge", "http://127.0.0.1:9"], "cannot be reached"),
        (["schedules", "list", "--token", "nonsense"], "UNAUTHENTICATED"),
    ],
)
async def test_a_mistake_on_the_command_line_is_one_line(office: Office, arguments: list[str], words: str) -> None:
    done = await asyncio.to_thread(office.parley, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert office.admin.token not in done.stderr
