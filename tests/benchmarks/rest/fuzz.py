"""`python -m tests.benchmarks.rest.fuzz`: schemathesis against the whole house, by the document that it serves.

No answer may be a 5xx, and every status must stand in the document by its number: `default` is taken out of it first.
The runs: an administrator with made-up ids, the same with ids of things that are there, somebody without a token, and
signing out. It goes on with the next seed until `--cases` requests were sent. The same seed sends the same requests,
but for the ids.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from tests.support.callers import Person, edge_of
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD, running_mesh

_SCHEMATHESIS = str(Path(sys.executable).with_name("schemathesis"))
_STREAM = "RunService_StreamRun"
# They end the session that the other requests go out with.
_ENDING = (
    "AuthService_Logout",
    "AuthService_LogoutEverywhere",
    "UserAdminService_DisableUser",
    "AuthService_ChangePassword",
    "AuthService_RevokeSession",
    "OrganizationService_DeleteOrganization",
    "OrganizationService_RemoveMember",
    "UserAdminService_RevokeRole",
)
_CONFIG = """
continue-on-failure = true
warnings = false

[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
response_schema_conformance.enabled = true

# What no operation offers answers 501 as in grpc-gateway, on purpose.
[phases.coverage]
unexpected-methods = []

# A stream is many JSON texts; OpenAPI 3.1 can only describe one of them.
[[operations]]
include-operation-id = "{stream}"
checks.response_schema_conformance.enabled = false
checks.content_type_conformance.enabled = false
"""
_KNOWN = """
[parameters]
"path.conversationId" = "{conversation}"
"path.runId" = "{run}"
"path.userId" = "{user}"
"path.sessionId" = "{session}"
"""


class Run(NamedTuple):
    """One run of schemathesis."""

    name: str
    token: str
    config: str
    options: tuple[str, ...]
    share: float


class Result(NamedTuple):
    """What came of it."""

    cases: int
    statuses: Counter[int]
    failures: list[str]


def main() -> int:
    """Start the house, run and report; the exit code is 1 when anything was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rest.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="how many requests at least")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=1800, help="the longest that it may take")
    parser.add_argument("--only", default="", help="comma-separated names of runs")
    options = parser.parse_args()
    with TemporaryDirectory() as folder, running_mesh(Path(folder) / "home") as mesh:
        result = fuzz(mesh.url, Path(folder), options.cases, options.seed, options.seconds, options.only)
    return 1 if result.failures or result.cases < options.cases else 0


def fuzz(url: str, folder: Path, cases: int, seed: int, seconds: float, only: str = "") -> Result:
    """Fuzz a running house and return everything that was found."""
    document, runs = asyncio.run(_prepare(url))
    operations = sum(len(item) for item in document["paths"].values())
    strict = folder / "openapi.json"
    strict.write_text(json.dumps(document))
    deadline = time.monotonic() + seconds
    wanted = [run for run in runs if not only or run.name in only.split(",")]
    total = Result(0, Counter(), [])
    used = seed
    while total.cases < cases and not (total.failures and used > seed) and time.monotonic() < deadline - 1:
        total = _plus(total, _round(wanted, url, strict, folder, (cases - total.cases, operations), used, deadline))
        used += 1
    enough = f"at least {cases} were wanted" if total.cases >= cases else f"FEWER than the {cases} that were wanted"
    print(
        f"{total.cases} cases ({enough}) in {time.monotonic() - deadline + seconds:.0f} s, seeds {seed} to {used - 1}"
    )
    print(f"{_shown(total.statuses)}; {len(total.failures)} failures", flush=True)
    return total


def _round(
    runs: list[Run], url: str, document: Path, folder: Path, amount: tuple[int, int], seed: int, deadline: float
) -> Result:
    cases, operations = amount
    total = Result(0, Counter(), [])
    for run in runs:
        left = deadline - time.monotonic()
        if left <= 1:
            print("  the time is up")
            break
        each = max(1, round(cases * run.share / operations))
        result = _schemathesis(run, url, document, folder, each, seed, left)
        print(f"  {run.name}, seed {seed}: {result.cases} cases, {_shown(result.statuses)}", flush=True)
        for failure in result.failures:
            print(f"    {failure}")
        total = _plus(total, result)
    return total


def _plus(one: Result, other: Result) -> Result:
    return Result(one.cases + other.cases, one.statuses + other.statuses, one.failures + other.failures)


async def _prepare(url: str) -> tuple[dict[str, Any], list[Run]]:
    async with edge_of(url) as edge:
        document = (await edge.http.get("/api/docs/openapi.json")).json()
        admin, leaver = await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD), await edge.register()
        known = await _things_of(admin)
    for item in document["paths"].values():
        for operation in item.values():
            del operation["responses"]["default"]
    config = _CONFIG.format(stream=_STREAM)
    keep = tuple(f"--exclude-operation-id={name}" for name in _ENDING)
    stay = (*keep, "--exclude-method=DELETE")
    return document, [
        Run("made-up ids", admin.token, config, keep, 0.55),
        Run("known ids", admin.token, config + _KNOWN.format(**known), stay, 0.25),
        Run("nobody", "", config, keep, 0.2),
        Run("signing out", leaver.token, config, tuple(f"--include-operation-id={name}" for name in _ENDING), 0.2),
    ]


async def _things_of(person: Person) -> dict[str, str]:
    conversation = await person.open_conversation()
    run = await person.say(conversation, "hello")
    await person.hear(run)
    chat = await person.post("/api/v1/ai/chat", message="hello")
    session = str(chat.get("sessionId") or chat.get("session", {}).get("id", ""))
    return {
        "conversation": conversation.rpartition("/")[2],
        "run": run.rpartition("/")[2],
        "user": person.id,
        "session": session,
    }


def _schemathesis(run: Run, url: str, document: Path, folder: Path, examples: int, seed: int, seconds: float) -> Result:
    name = f"{run.name.replace(' ', '-')}-{seed}"
    config, har = folder / f"{name}.toml", folder / f"{name}.har"
    config.write_text(run.config)
    header = [f"--header=Authorization: Bearer {run.token}"] if run.token else []
    command = [
        *(_SCHEMATHESIS, f"--config-file={config}", "run", str(document), f"--url={url}"),
        *("--phases=examples,coverage,fuzzing", f"--max-examples={examples}", f"--seed={seed}"),
        *("--generation-database=none", "--suppress-health-check=all", "--no-shrink", "--no-color"),
        *(f"--report-har-path={har}", "--workers=1"),
        *header,
        *run.options,
    ]
    output = folder / f"{name}.txt"
    with output.open("wb") as target:
        try:
            code = subprocess.run(
                command, cwd=folder, stdout=target, stderr=target, timeout=seconds, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = 2
    text = output.read_text()
    entries = json.loads(har.read_text())["log"]["entries"] if har.exists() else []
    statuses = Counter(int(entry["response"]["status"]) for entry in entries)
    failures = [_line(entry) for entry in entries if int(entry["response"]["status"]) >= 500]
    if code != 0:
        failures.append(f"schemathesis ended with {code}:\n{text[-6000:]}")
    return Result(len(entries), statuses, failures)


def _line(entry: dict[str, Any]) -> str:
    request, response = entry["request"], entry["response"]
    sent, answered = request.get("postData", {}).get("text", ""), response["content"].get("text", "")
    return f"{response['status']} {request['method']} {request['url'][:300]} {sent[:300]!r} -> {answered[:300]}"


def _shown(statuses: Counter[int]) -> str:
    return ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))


if __name__ == "__main__":
    sys.exit(main())
