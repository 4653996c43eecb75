"""What HTTP sees beside the content: statuses, deprecation, rate limits, and the names of headers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2
from openapi_spec_validator import OpenAPIV31SpecValidator
from parley.rest.v1 import rest_pb2

from adapters.rest.app import build_app
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.openapi import openapi_document
from adapters.rest.rules import RuleInvalid
from adapters.rest.serving import run
from adapters.rest.settings import RestSettings
from tests.adapters.trial import Trial, start_trial
from tests.adapters.upstreams import compiled, facing, serving

SERVICE = "trial.answers.v1.AnswerService"
_ASKED = "answer-"


async def echo(request: Any, _context: Any) -> Any:
    return request


async def watch(request: Any, context: Any) -> AsyncIterator[Any]:
    if request.fail:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no")
    yield request


async def say(request: Any, context: Any) -> Any:
    metadata = [(str(key), str(value)) for key, value in context.invocation_metadata()]
    asked = tuple((key.removeprefix(_ASKED), value) for key, value in metadata if key.startswith(_ASKED))
    if request.fail:
        status = status_pb2.Status(code=request.fail, message="slow down")
        info = error_details_pb2.RetryInfo()
        info.retry_delay.FromMilliseconds(request.retry_seconds * 1000 - 500)
        status.details.add().Pack(info)
        code = next(code for code in grpc.StatusCode if code.value[0] == request.fail)
        await context.abort(code, "slow down", (*asked, ("grpc-status-details-bin", status.SerializeToString())))
    await context.send_initial_metadata(asked)
    context.set_trailing_metadata((("end", "1"), ("checksum", "2")))
    request.seen.extend(sorted(f"{key}={value}" for key, value in metadata if key.startswith(("x-", "tenant"))))
    return request


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DescriptorSet]:
    """The descriptor set."""
    return compiled("answers.proto", tmp_path_factory.mktemp("answers"))


@pytest.fixture(scope="module")
async def upstream(answers: tuple[Path, DescriptorSet]) -> AsyncIterator[str]:
    """The address of the upstream."""
    behaviors = {"Create": echo, "Remove": echo, "Get": echo, "Watch": watch, "Say": say}
    async with serving(answers[1], {f"{SERVICE}.{name}": what for name, what in behaviors.items()}) as address:
        yield address


@pytest.fixture
async def trial_address(trial: Trial, trial_types: DescriptorSet) -> AsyncIterator[str]:
    """The address of the trial's upstream."""
    server, port = await start_trial(trial, trial_types)
    yield f"127.0.0.1:{port}"
    await server.stop(None)


async def test_an_rpc_chooses_its_success_status(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    async with facing(answers[0], upstream) as face:
        made = await face.client.post("/v1/things", json={"id": "a"})
        assert (made.status_code, made.json()["id"]) == (201, "a")
        removed = await face.client.delete("/v1/things/a")
        assert (removed.status_code, removed.content) == (204, b"")
        assert not {"content-type", "content-length", "transfer-encoding"} & removed.headers.keys()
        watched = await face.client.get("/v1/things/a:watch")
        assert (watched.status_code, watched.json()["result"]["id"]) == (202, "a")
        assert watched.headers["deprecation"] == "@1801393200"


async def test_what_goes_away_says_so_also_when_it_fails(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    async with facing(answers[0], upstream) as face:
        for path in ("/v1/things/a", "/v1/things/a?fail=x"):
            answer = await face.client.get(path)
            assert answer.headers["deprecation"] == "@1801353600"
            assert answer.headers["sunset"] == "Fri, 31 Dec 2027 23:59:59 GMT"
            assert answer.headers.get_list("link") == [
                '</v2/things>; rel="successor-version"',
                '<https://example.org/moving>; rel="deprecation"',
            ]
        refused = await face.client.get("/v1/things/a:watch?fail=1")
        assert (refused.status_code, refused.headers["deprecation"]) == (404, "@1801393200")
        assert "deprecation" not in (await face.client.get("/v1/say")).headers


@pytest.mark.parametrize(
    ("rpc", "option", "problem"),
    [
        ("Create", {"success_status": 404}, "success_status 404"),
        ("Watch", {"success_status": 204}, "has no body"),
        ("Get", {"deprecation": {"since": "soon"}}, "since 'soon' is no time"),
        ("Get", {"deprecation": {"since": "2027-02-01", "sunset": "2027-01-01"}}, "is before since"),
        ("Get", {"deprecation": {"since": "2027-02-01", "successor": "a b"}}, "successor 'a b' is no URL"),
        ("Get", {"deprecation": {"documentation": 'https://x/">'}}, "is no URL"),
    ],
)
def test_wrong_options_stop_the_start_with_one_line(
    answers: tuple[Path, DescriptorSet], tmp_path: Path, rpc: str, option: dict[str, Any], problem: str
) -> None:
    files = FileDescriptorSet.FromString(answers[0].read_bytes())
    file = next(file for file in files.file if file.name == "answers.proto")
    method = next(method for method in file.service[0].method if method.name == rpc)
    method.options.Extensions[rest_pb2.answer].CopyFrom(rest_pb2.HttpAnswer(**option))
    path = tmp_path / "wrong.binpb"
    path.write_bytes(files.SerializeToString())
    with pytest.raises(RuleInvalid) as caught:
        build_app(RestSettings(descriptor_set=path))
    text = str(caught.value)
    assert text.startswith(f"answers.proto: {SERVICE}.{rpc}: ")
    assert problem in text
    assert "\n" not in text


def test_the_document_shows_the_options(answers: tuple[Path, DescriptorSet]) -> None:
    document = openapi_document(answers[1], "Answers", "1")
    OpenAPIV31SpecValidator(document).validate()
    assert "200" not in document["paths"]["/v1/things"]["post"]["responses"]
    assert "application/json" in document["paths"]["/v1/things"]["post"]["responses"]["201"]["content"]
    item = document["paths"]["/v1/things/{id}"]
    assert "content" not in item["delete"]["responses"]["204"]
    assert item["get"]["deprecated"] is True
    assert {"Deprecation", "Sunset", "Link"} <= item["get"]["responses"]["200"]["headers"].keys()
    watch = document["paths"]["/v1/things/{id}:watch"]["get"]["responses"]
    assert "202" in watch
    assert "Deprecation" in watch["202"]["headers"]
    assert "Sunset" not in watch["202"]["headers"]


async def test_x_http_code_sets_the_status_only_when_it_may(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    def asking(code: str) -> dict[str, str]:
        return {f"grpc-metadata-{_ASKED}x-http-code": code}

    async with facing(answers[0], upstream) as face:
        plain = await face.client.get("/v1/say", headers=asking("201"))
        assert (plain.status_code, plain.headers["grpc-metadata-x-http-code"]) == (200, "201")
    async with facing(answers[0], upstream, http_codes=True) as face:
        made = await face.client.get("/v1/say", headers=asking("201"))
        assert (made.status_code, made.json()["id"]) == (201, "")
        assert "grpc-metadata-x-http-code" not in made.headers
        empty = await face.client.get("/v1/say", headers=asking("204"))
        assert (empty.status_code, empty.content) == (204, b"")
        for wrong in ("99", "600", "twelve", "9" * 30):
            assert (await face.client.get("/v1/say", headers=asking(wrong))).status_code == 500


RATES = {"ratelimit": '"a";r=1', "ratelimit-policy": '"a";q=2', "ratelimit-remaining": "3", "x-ratelimit-reset": "4"}


async def test_rate_limits_are_plain_headers_in_our_dialect(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    headers = {f"grpc-metadata-{_ASKED}{name}": value for name, value in RATES.items()}
    failing = {"fail": 8, "retrySeconds": 3}
    async with facing(answers[0], upstream, dialect="parley") as face:
        for query in ({}, failing):
            answer = await face.client.get("/v1/say", headers=headers, params=query)
            assert {name: answer.headers.get(name) for name in RATES} == RATES
            assert "grpc-metadata-ratelimit" not in answer.headers
            assert answer.headers.get("retry-after") == ("3" if query else None)
        own = await face.client.get("/v1/say", headers={f"grpc-metadata-{_ASKED}retry-after": "9"}, params=failing)
        assert own.headers.get_list("retry-after") == ["9"]
    async with facing(answers[0], upstream) as face:
        answer = await face.client.get("/v1/say", headers=headers)
        assert answer.headers["grpc-metadata-ratelimit"] == RATES["ratelimit"]
        assert "ratelimit" not in answer.headers
        assert "retry-after" not in (await face.client.get("/v1/say", params=failing)).headers


async def test_listed_headers_keep_their_names(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    lists = {
        "incoming_headers": "tenant, X-B3-*",
        "outgoing_headers": "etag,x-own-*",
        "outgoing_trailers": "checksum",
    }
    sent = {"tenant": "t", "x-b3-trace": "b", "x-other": "o", "x-b4": "n"}
    asked = {f"grpc-metadata-{_ASKED}{name}": "v" for name in ("etag", "x-own-thing", "x-own", "content-lengthy")}
    async with facing(answers[0], upstream, **lists) as face:
        answer = await face.client.get("/v1/say", headers={**sent, **asked, "te": "trailers"})
        assert [one for one in answer.json()["seen"] if not one.startswith("x-forwarded")] == [
            "tenant=t",
            "x-b3-trace=b",
        ]
        assert {"etag", "x-own-thing", "grpc-metadata-x-own"} <= answer.headers.keys()
        assert answer.headers["trailer"] == "Grpc-Trailer-End, Checksum"


@pytest.mark.parametrize("name", ["content-length", "a b", "grpc-timeout", "*x"])
def test_names_that_cannot_be_passed_on_stop_the_start(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run({"outgoing_headers": name}) == 1
    assert "outgoing_headers" in capsys.readouterr().err


async def test_the_switches_of_json(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    async with facing(answers[0], upstream, emit_unpopulated=False, emit_default_values=True) as face:
        assert (await face.client.get("/v1/things/a")).text == '{"id":"a","fail":0,"retrySeconds":0,"seen":[]}'
    async with facing(answers[0], upstream, discard_unknown=False) as face:
        assert (await face.client.post("/v1/things", json={"nope": 1})).status_code == 400
        assert (await face.client.get("/v1/things/a?nope=1")).status_code == 200


async def test_masks_of_a_patch_can_be_left_to_the_client(trial_set: Path, trial_address: str) -> None:
    for allowed, paths in ((True, "size"), (False, None)):
        async with facing(trial_set, trial_address, allow_patch_feature=allowed) as face:
            answer = await face.client.patch("/v1/things/n", json={"size": 1})
            assert answer.json()["updateMask"] == paths


async def test_the_health_page_moves_and_goes(answers: tuple[Path, DescriptorSet], upstream: str) -> None:
    async with facing(answers[0], upstream, health_path="/ready") as face:
        assert (await face.client.get("/ready")).json() == {"status": "SERVING"}
        assert (await face.client.get("/healthz")).status_code == 404
    async with facing(answers[0], upstream, health_path="") as face:
        assert (await face.client.get("/healthz")).status_code == 404
