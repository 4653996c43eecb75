"""Values in paths, queries, forms and bodies, as Go's grpc-gateway v2.31 reads them: each line is what it answered."""

import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.conftest import Face
from tests.adapters.test_golden import ask
from tests.adapters.upstreams import compiled, facing, serving

REFUSED = 400
FORM = "Content-Type: application/x-www-form-urlencoded"
TIME = "2020-01-02T03:04:05"

GETS: list[tuple[str, Any]] = [
    # A leading zero says nothing about the base.
    ("/int64/010", {"int64Value": "10"}),
    ("/int64/-0010", {"int64Value": "-10"}),
    ("/int64/+7", {"int64Value": "7"}),
    ("/int64/" + "0" * 99 + "7", {"int64Value": "7"}),
    ("/int32/2147483648", REFUSED),
    ("/int64/" + "9" * 120, REFUSED),
    *((f"/{kind}/{text}", REFUSED) for kind in ("int32", "int64", "uint32") for text in ("0x10", "0b1", "0o7", "1_0")),
    ("/uint32/+1", REFUSED),
    ("/int64/%D9%A3", REFUSED),
    ("/int64/\u0663", REFUSED),
    ("/wrapped/010", {"wrapped": "10"}),
    ("/wrapped/0x10", REFUSED),
    ("/numbers/010,-08", {"numbers": [10, -8]}),
    ("/values?int32_value=010&numbers=08&numbers=09", {"int32Value": 10, "numbers": [8, 9]}),
    ("/values?by_number[010]=01", {"byNumber": {"10": "ONE"}}),
    ("/values?by_number[0x10]=1", REFUSED),
    # Floats are Go's.
    ("/double/0x1p-2", {"doubleValue": 0.25}),
    ("/double/0X_1.8P+1", {"doubleValue": 3}),
    ("/double/1_000.5", {"doubleValue": 1000.5}),
    ("/double/1e1_0", {"doubleValue": 1e10}),
    ("/float/.5", {"floatValue": 0.5}),
    ("/values?double_value=%2BInf&float_value=nan", {"doubleValue": "Infinity", "floatValue": "NaN"}),
    ("/values?double_value=-infinity", {"doubleValue": "-Infinity"}),
    ("/values?float_value=0x1p-2", {"floatValue": 0.25}),
    *(
        (f"/double/{text}", REFUSED)
        for text in ("0x1", "_1", "1_", "1__0", "1_.5", "1._5", "+nan", "infi", "1f", "0b1p2")
    ),
    ("/double/1e400", REFUSED),
    ("/double/0x1p1024", REFUSED),
    ("/float/3.5e38", REFUSED),
    ("/values?double_value=9223372036854775807", {"doubleValue": 9223372036854776000}),
    # Enums by name, or by a declared number.
    ("/kind/+1", {"kind": "ONE"}),
    ("/kind/01", {"kind": "ONE"}),
    ("/kind/-0", {"kind": "ZERO"}),
    ("/values?kind=%2B1&kinds=01&kinds=ZERO&part.kind=%2B1", {"kind": "ONE", "kinds": ["ONE", "ZERO"]}),
    *((f"/kind/{text}", REFUSED) for text in ("2", "0x1", "one", "1_0", "1.0")),
    # Line breaks are nothing to base64; the alphabets do not mix.
    ("/raw/YQ%0A==", {"raw": "YQ=="}),
    ("/values?raw=Y%0D%0AQ==%0A", {"raw": "YQ=="}),
    ("/values?raw=_-8=", {"raw": "/+8="}),
    *((f"/values?raw={text}", REFUSED) for text in ("YQ", "YQ=", "%2B_8=", "Y%20Q==", "YQ%09==")),
    # Times as time.Parse reads them: a comma, and any number of digits.
    (f"/values?time={TIME},1Z", {"time": f"{TIME}.100Z"}),
    (f"/values?time={TIME}.1234567899Z", {"time": f"{TIME}.123456789Z"}),
    (f"/values?time={TIME},12345678901234Z", {"time": f"{TIME}.123456789Z"}),
    (f"/values?time={TIME}.000000000000%2B01:00", {"time": "2020-01-02T02:04:05Z"}),
    ("/values?time=2020-01-02T3:04:05Z", {"time": f"{TIME}Z"}),
    ("/values?time=0000-12-31T23:59:59-01:00", {"time": "0001-01-01T00:59:59Z"}),
    (f"/time/{TIME},1234567891Z", {"time": f"{TIME}.123456789Z"}),
    (f"/time/{TIME}.1234567891Z", REFUSED),
    (f"/time/%22{TIME}Z%22", {"time": f"{TIME}Z"}),
    (f"/values?time=%22{TIME}Z%22", REFUSED),
    *(
        (f"/values?time={text}", REFUSED)
        for text in (
            f"{TIME}.Z",
            "2020-1-2T3:4:5Z",
            "2021-02-29T00:00:00Z",
            "2020-01-02T23:59:60Z",
            "0000-01-01T00:00:00Z",
        )
    ),
    ("/values?duration=1h1.5m.5s", {"duration": "3690.500s"}),
    ("/values?duration=2562048h", REFUSED),
    ("/duration/%2B1.5s", {"duration": "1.500s"}),
    ("/duration/1h", REFUSED),
    # Raw UTF-8 in URLs, and what is no UTF-8.
    ("/values?text=\u20ac", {"text": "\u20ac"}),
    ("/text/\u20ac", {"text": "\u20ac"}),
    ("/values?\u20ac=1&texts[\u20ac]=\u00e9", {"texts": {"\u20ac": "\u00e9"}}),
    ("/values?text=a#b", {"text": "a#b"}),
    ("/values?unknown=%FF&text=a", {"text": "a"}),
    ("/values?%FF=1&text=a", {"text": "a"}),
    ("/values?text=%FF", REFUSED),  # Go: 500 of its own marshaller, here and in the next line
    ("/text/%FF", REFUSED),
]

FORMS: list[tuple[str, Any]] = [
    ("text=\u20ac", {"text": "\u20ac"}),
    ("texts[\u20ac]=\u00e9", {"texts": {"\u20ac": "\u00e9"}}),
    ("text=%E2%82%AC+\u00e9", {"text": "\u20ac \u00e9"}),
    ("int32_value=010", {"int32Value": 10}),
    ("kind=%2B1", {"kind": "ONE"}),
    ("text=%ff", REFUSED),
]

BODIES: list[tuple[str, str, Any]] = [
    # Nobody reads what is unknown.
    ("/values", '{"zzz":1,"zzz":2,"text":"a"}', {"text": "a"}),
    ("/values", '{"zzz":{"a":1,"a":[{"b":1,"b":2}]},"text":"a"}', {"text": "a"}),
    ("/values", '{"part":{"zzz":1,"zzz":2,"name":"a"}}', {"part": {"name": "a", "kind": "ZERO", "number": "0"}}),
    ("/values", '{"text":"a","text":"b"}', REFUSED),
    ("/values", '{"text":"a","zzz":1,"zzz":1,"text":"b"}', REFUSED),
    ("/values", '{"part":{"name":"a","name":"b"}}', REFUSED),
    ("/values", '{"int64Value":1,"int64_value":2}', REFUSED),
    ("/values", '{"texts":{"a":"x","a":"y"}}', REFUSED),
    ("/values", '{"zzz":"\\ud800"}', REFUSED),
    ("/values", '{"kind":"\\udc00\\ud800"}', REFUSED),
    ("/values", '{"zzz":"\\ud83d\\ude00\\\\ud800","text":"a"}', {"text": "a"}),
    # Base64 and numbers of protojson.
    ("/values", '{"raw":"YQ"}', {"raw": "YQ=="}),
    ("/values", '{"raw":"YWJj\\n"}', {"raw": "YWJj"}),
    ("/values", '{"raw":"YQ="}', REFUSED),
    ("/values", '{"raw":"Y\\nQ=="}', REFUSED),
    ("/values", '{"raw":"+_8="}', REFUSED),
    ("/values", '{"doubleValue":"1e400"}', REFUSED),
    ("/values", '{"doubleValue":"NaN"}', {"doubleValue": "NaN"}),
    ("/values", f'{{"time":"{TIME},1234567891Z"}}', {"time": f"{TIME}.123456789Z"}),
    ("/values", f'{{"time":"{TIME}.1234567891Z"}}', REFUSED),
    ("/values", '{"duration":"+.5s"}', {"duration": "0.500s"}),
    ("/values", '{"duration":"01s"}', REFUSED),
    # The path goes over the body, inside of what the body nests.
    (
        "/part/path",
        '{"part":{"name":"body","number":"7"}}',
        {"part": {"name": "path", "kind": "ZERO", "number": "7"}},
    ),
    ("/part/path", '{"part":null}', {"part": {"name": "path", "kind": "ZERO", "number": "0"}}),
    ("/part/path", '{"text":"a"}', {"text": "a", "part": {"name": "path", "kind": "ZERO", "number": "0"}}),
    ("/inner/path", '{"name":"body","number":"7"}', {"part": {"name": "path", "kind": "ZERO", "number": "7"}}),
    ("/inner/path?part.name=query&part.number=8", "{}", {"part": {"name": "path", "kind": "ZERO", "number": "0"}}),
    # Null as a whole body, and nothing at all.
    ("/values", "null", REFUSED),
    ("/part", "null", REFUSED),
    ("/kind", "null", REFUSED),
    ("/word", "null", {"word": ""}),
    ("/word", "", {"word": ""}),
    ("/part", "", {"part": {"name": "", "kind": "ZERO", "number": "0"}}),
    ("/values", '{"part":null,"kind":null,"numbers":null,"texts":null,"time":null}', {"part": None, "numbers": []}),
]


async def echo(request: Any, _context: Any) -> Any:
    return request


@pytest.fixture(scope="module")
async def values(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Face]:
    """The adapter as grpc-gateway, in front of an echo."""
    path, types = compiled("values.proto", Path(tmp_path_factory.mktemp("values")))
    async with serving(types, {"values.v1.ValuesService.Echo": echo}) as upstream, facing(path, upstream) as face:
        yield face


def check(found: int, text: str, expected: Any) -> None:
    if expected == REFUSED:
        assert (found, json.loads(text)["code"]) == (REFUSED, 3), text
    else:
        assert found == 200, text
        answer = json.loads(text)
        assert {name: answer.get(name) for name in expected} == expected


@pytest.mark.parametrize(("target", "expected"), GETS, ids=[f"{target[:50]!a}" for target, _ in GETS])
async def test_a_value_of_a_url(values: Face, target: str, expected: Any) -> None:
    found, _, text = await ask(values.port, f"GET {target}", (), "")
    check(found, text, expected)


async def test_a_long_key_is_read_in_time_of_its_length(values: Face) -> None:
    began = time.process_time()
    for key in ("[" * 30_000 + "%0A]", "texts" + "[" * 30_000, "]" * 30_000):
        await ask(values.port, f"GET /values?{key}=1", (), "")
    await ask(values.port, "POST /values", (), json.dumps({"texts": {"[" * 100_000: 5}}))
    assert time.process_time() - began < 10


@pytest.mark.parametrize(("body", "expected"), FORMS)
async def test_a_value_of_a_form(values: Face, body: str, expected: Any) -> None:
    found, _, text = await ask(values.port, "POST /form", (FORM,), body)
    check(found, text, expected)


@pytest.mark.parametrize(("path", "body", "expected"), BODIES)
async def test_a_value_of_a_body(values: Face, path: str, body: str, expected: Any) -> None:
    found, _, text = await ask(values.port, f"POST {path}", (), body)
    check(found, text, expected)


async def test_a_form_that_is_no_utf8_is_refused(values: Face) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await values.client.post("/form", content=b"text=\xff\xfe", headers=form)).status_code == REFUSED
    assert (await values.client.post("/form", content=b"zzz=\xff&text=a", headers=form)).json()["text"] == "a"
