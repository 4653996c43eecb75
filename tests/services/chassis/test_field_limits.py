"""The limits that protos declare, held against values at and beyond them."""

import math
from typing import Any
from uuid import uuid4

import pytest
from google.api import field_behavior_pb2
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    field_mask_pb2,
    message_factory,
    struct_pb2,
    timestamp_pb2,
)
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st
from parley.bots.v1.bot_pb2 import Bot, ModelParameters
from parley.bots.v1.prompt_service_pb2 import RenderPromptRequest
from parley.validation.v1 import validation_pb2

from services.chassis.errors import InvalidFields
from services.chassis.field_limits import MOST, violations

_STRING, _INT64, _ENUM, _BYTES, _MESSAGE = 9, 3, 14, 12, 11


def _declare() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="limits_trial.proto", package="limits.trial.v1", syntax="proto3")
    color = file.enum_type.add(name="Color")
    for number, name in enumerate(("COLOR_UNSPECIFIED", "COLOR_RED")):
        color.value.add(name=name, number=number)
    inner = file.message_type.add(name="Inner")
    _add(inner, "name", _STRING, {"max_length": 3}, required=True)
    outer = file.message_type.add(name="Outer")
    _add(outer, "least", _STRING, {"min_length": 2})
    _add(outer, "most", _STRING, {"max_length": 3, "text": validation_pb2.TEXT_VERBATIM})
    _add(outer, "bytes_of_text", _STRING, {"max_bytes": 3, "text": validation_pb2.TEXT_VERBATIM})
    _add(outer, "data", _BYTES, {"max_bytes": 3})
    _add(outer, "word", _STRING, {"pattern": "[a-z]+"})
    _add(outer, "uuid", _STRING, {"format": validation_pb2.FORMAT_UUID})
    _add(outer, "email", _STRING, {"format": validation_pb2.FORMAT_EMAIL})
    _add(outer, "url", _STRING, {"format": validation_pb2.FORMAT_URL})
    _add(outer, "number", _INT64, {"minimum": -1, "maximum": 2})
    _add(outer, "color", _ENUM, type_name=".limits.trial.v1.Color")
    _add(outer, "plain", _STRING)
    _add(outer, "words", _STRING, {"max_items": 2, "max_length": 3}, repeated=True)
    _add(outer, "uuids", _STRING, {"format": validation_pb2.FORMAT_UUID}, repeated=True)
    _add(outer, "inner", _MESSAGE, type_name=".limits.trial.v1.Inner")
    _add(outer, "inners", _MESSAGE, {"max_items": 2}, type_name=".limits.trial.v1.Inner", repeated=True)
    nickname = _add(outer, "nickname", _STRING, {"max_length": 3})
    nickname.proto3_optional = True
    nickname.oneof_index = 0
    outer.oneof_decl.add(name="_nickname")
    strict = file.message_type.add(name="Strict")
    _add(strict, "text", _STRING, required=True)
    _add(strict, "number", _INT64, required=True)
    _add(strict, "inner", _MESSAGE, type_name=".limits.trial.v1.Inner", required=True)
    _add(strict, "inners", _MESSAGE, type_name=".limits.trial.v1.Inner", required=True, repeated=True)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"limits.trial.v1.{name}"))
        for name in ("Inner", "Outer", "Strict")
    ]


def _add(
    message: descriptor_pb2.DescriptorProto,
    name: str,
    kind: int,
    limits: dict[str, Any] | None = None,
    *,
    type_name: str = "",
    repeated: bool = False,
    required: bool = False,
) -> descriptor_pb2.FieldDescriptorProto:
    field = message.field.add(name=name, number=len(message.field) + 1, label=3 if repeated else 1)
    field.type = kind  # type: ignore[assignment]
    if type_name:
        field.type_name = type_name
    if limits:
        field.options.Extensions[validation_pb2.limits].CopyFrom(validation_pb2.FieldLimits(**limits))
    if required:
        field.options.Extensions[field_behavior_pb2.field_behavior].append(field_behavior_pb2.REQUIRED)
    return field


Inner, Outer, Strict = _declare()
_UUID = "01980000-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"least": "ab"},
        {"most": "äöü"},
        {"bytes_of_text": "äb"},
        {"data": b"\x00\x01\x02"},
        {"word": "abc"},
        {"uuid": _UUID},
        {"uuid": _UUID.upper()},
        {"email": "a.b+c@example.co.uk"},
        {"url": "https://example.com/a?b=c#d"},
        {"url": "http://localhost:8080"},
        {"number": -1},
        {"number": 2},
        {"color": 1},
        {"plain": "x" * 10_000},
        {"words": ["abc", "ab"]},
        {"words": [""]},
        {"uuid": ""},
        {"uuids": [_UUID]},
        {"inner": {"name": "abc"}},
        {"inners": [{"name": "a"}, {"name": "b"}]},
        {"nickname": "abc"},
        {"nickname": ""},
    ],
)
def test_what_keeps_its_limits_passes(fields: dict[str, Any]) -> None:
    assert violations(Outer(**fields)) == []


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"least": "a"}, ("least", "must have at least 2 characters")),
        ({"most": "abcd"}, ("most", "must have at most 3 characters")),
        ({"bytes_of_text": "äö"}, ("bytes_of_text", "must have at most 3 bytes")),
        ({"data": b"abcd"}, ("data", "must have at most 3 bytes")),
        ({"word": "aB"}, ("word", "must match [a-z]+")),
        ({"word": "ab\n"}, ("word", "must not contain the character U+000A (at position 3)")),
        ({"uuid": "1"}, ("uuid", "must be a UUID")),
        ({"uuid": _UUID.replace("-", "")}, ("uuid", "must be a UUID")),
        ({"uuid": f"{{{_UUID}}}"}, ("uuid", "must be a UUID")),
        ({"uuid": f"urn:uuid:{_UUID}"}, ("uuid", "must be a UUID")),
        ({"uuid": f"{_UUID} "}, ("uuid", "must be a UUID")),
        ({"email": "a@b"}, ("email", "must be an e-mail address")),
        ({"email": "a b@c.d"}, ("email", "must be an e-mail address")),
        ({"email": "a@b@c.d"}, ("email", "must be an e-mail address")),
        ({"email": "a@b..d"}, ("email", "must be an e-mail address")),
        ({"email": "@b.d"}, ("email", "must be an e-mail address")),
        ({"email": "a@b.d\n"}, ("email", "must not contain the character U+000A (at position 6)")),
        ({"url": "ftp://a"}, ("url", "must be an http or https URL")),
        ({"url": "javascript:alert(1)"}, ("url", "must be an http or https URL")),
        ({"url": "https://"}, ("url", "must be an http or https URL")),
        ({"url": "https://a b"}, ("url", "must be an http or https URL")),
        ({"number": -2}, ("number", "must be at least -1")),
        ({"number": 3}, ("number", "must be at most 2")),
        ({"color": 7}, ("color", "is not a value of limits.trial.v1.Color")),
        ({"plain": "a\x00b"}, ("plain", "must not contain the character U+0000 (at position 2)")),
        ({"uuids": [_UUID, ""]}, ("uuids[1]", "must not be empty")),
        ({"words": ["a", "b", "c"]}, ("words", "must have at most 2 elements")),
        ({"words": ["a", "abcd"]}, ("words[1]", "must have at most 3 characters")),
        ({"inner": {}}, ("inner.name", "is required")),
        ({"inner": {"name": "abcd"}}, ("inner.name", "must have at most 3 characters")),
        ({"inners": [{"name": "a"}, {}]}, ("inners[1].name", "is required")),
        ({"nickname": "abcd"}, ("nickname", "must have at most 3 characters")),
    ],
)
def test_what_breaks_a_limit_is_named(fields: dict[str, Any], wrong: tuple[str, str]) -> None:
    assert violations(Outer(**fields)) == [wrong]


def test_every_violation_is_told_at_once() -> None:
    assert [field for field, _ in violations(Strict())] == ["text", "number", "inner", "inners"]
    full = Strict(text="a", number=1, inner=Inner(name="a"), inners=[Inner(name="a")])
    assert violations(full) == []


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00")))
def test_characters_and_bytes_are_counted_as_people_and_wires_do(text: str) -> None:
    found = dict(violations(Outer(most=text, bytes_of_text=text)))
    assert ("most" in found) == (len(text) > 3)
    assert ("bytes_of_text" in found) == (len(text.encode()) > 3)


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_keep_their_range(number: int) -> None:
    # 0 is an unset field, and lies within the range.
    assert (violations(Outer(number=number)) == []) == (-1 <= number <= 2)


@given(st.binary(max_size=200))
def test_any_bytes_that_parse_can_be_judged(data: bytes) -> None:
    try:
        message = Outer.FromString(data)
    except DecodeError:  # malformed bytes never reach the limits
        return
    assert all(field and wrong for field, wrong in violations(message))


@given(st.uuids())
def test_every_canonical_uuid_passes(value: object) -> None:
    assert violations(Outer(uuid=str(value))) == []
    assert violations(Outer(uuid=str(uuid4())[:-1])) == [("uuid", "must be a UUID")]


def test_the_limits_of_a_map_hold_for_its_keys_and_values() -> None:
    def wrong(**variables: str) -> list[str]:
        request = RenderPromptRequest(prompt_id=_UUID, variables=variables)
        return [description for _, description in violations(request)]

    assert wrong(**{f"v{n}": "x" for n in range(100)}) == []
    assert wrong(**{f"v{n}": "x" for n in range(101)}) == ["must have at most 100 elements"]
    assert wrong(**{"k" * 10_001: "x"}) == ["a key must have at most 10000 characters"]
    assert wrong(k="x" * 10_001) == ["must have at most 10000 characters"]


def test_a_value_of_a_map_is_named_by_its_key() -> None:
    def found(**variables: str) -> list[tuple[str, str]]:
        return violations(RenderPromptRequest(prompt_id=_UUID, variables=variables))

    problem = "must not contain the character U+0007 (at position 1)"
    assert found(name="\a") == [("variables.name", problem)]
    assert found(Tên="\a") == [("variables", problem)]
    assert found(**{"\a": "x"}) == [("variables", f"a key {problem}")]
    assert found(name="two\nlines") == []
    assert found(**{"two\nlines": "x"}) == [
        ("variables", "a key must not contain the character U+000A (at position 4)")
    ]


def test_a_long_mask_and_a_time_out_of_range_are_refused() -> None:
    mask = field_mask_pb2.FieldMask
    assert violations(mask(paths=["a"] * 101)) == [("paths", "must have at most 100 elements")]
    assert violations(mask(paths=["a" * 201])) == [("paths[0]", "must have at most 200 characters")]
    assert [field for field, _ in violations(timestamp_pb2.Timestamp(seconds=2**60, nanos=-1))] == ["seconds", "nanos"]
    assert violations(timestamp_pb2.Timestamp(seconds=253402300799, nanos=999999999)) == []
    assert [field for field, _ in violations(duration_pb2.Duration(seconds=-(2**60)))] == ["seconds"]


def test_a_request_that_is_wrong_everywhere_gets_a_short_answer() -> None:
    found = violations(Outer(uuids=["x"] * 10_000, plain="\0", words=["\0"] * 2))
    assert len(found) == MOST
    error = InvalidFields([(f"{'f' * 10_000}{n}", "d" * 10_000) for n in range(MOST)])
    assert len(error.message) <= 1000
    assert all(len(text) <= 200 for violation in error.violations for text in violation)
    assert all(len(text) <= 1000 for text in error.fields.values())


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_breaks_every_limit(number: float) -> None:
    bot = Bot(parameters=ModelParameters(temperature=number))
    assert violations(bot) == [("parameters.temperature", "must be a finite number")]
    settings = struct_pb2.Struct()
    settings["number"] = number
    assert violations(settings) == [("fields.number.number_value", "must be a finite number")]
