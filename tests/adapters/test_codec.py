"""The codec against google.protobuf.json_format, which shares none of its code for the types compiled here."""

import contextlib
import json
import math
import time
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.rest.annotations import http_bindings
from adapters.rest.binding import RequestBinder
from adapters.rest.codec import Codec, JsonInvalid, dump_json, parse_json
from adapters.rest.descriptors import DescriptorSet, message_class
from adapters.rest.dialect import GRPC_GATEWAY
from adapters.rest.duplicate_keys import Doubled, second_place
from adapters.rest.failures import Failure, ValueInvalid
from adapters.rest.path_template import parse_template
from adapters.rest.scalars import float_to_json, shortest_float

quick = settings(
    max_examples=150, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
INT32, INT64 = st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1)
SINGLE = st.floats(width=32).map(lambda value: value if math.isfinite(value) else str(value))
DOUBLE = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(["NaN", "Infinity", "-Infinity"])
COLOR = st.sampled_from(["COLOR_UNSPECIFIED", "COLOR_RED", "COLOR_BLUE", 0, 1, 7])
FREE = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
STRUCT = st.dictionaries(TEXT, FREE, max_size=2)
NESTED: st.SearchStrategy[dict[str, Any]] = st.deferred(
    lambda: st.fixed_dictionaries(
        {},
        optional={
            "name": TEXT,
            "size": INT32,
            "child": NESTED,
            "extra": STRUCT,
            "labels": st.dictionaries(TEXT, TEXT, max_size=2),
        },
    )
)
ANY = st.one_of(
    NESTED.map(lambda value: {"@type": "type.googleapis.com/trial.v1.Nested", **value}),
    st.just({"@type": "type.googleapis.com/google.protobuf.Duration", "value": "1.500s"}),
)
EVERYTHING = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXT,
        "small": INT32 | INT32.map(str) | st.just(100.0),
        "large": INT64 | INT64.map(str),
        "natural": st.integers(0, 2**32 - 1),
        "great": st.integers(0, 2**64 - 1).map(str),
        "single": SINGLE.filter(lambda value: value not in ("nan", "inf", "-inf")),
        "real": DOUBLE,
        "flag": st.booleans(),
        "raw": st.sampled_from(["", "AQI=", "AQI", "_-8", "/+8="]),
        "color": COLOR,
        "nested": NESTED,
        "words": st.lists(TEXT, max_size=3),
        "many": st.lists(NESTED, max_size=2),
        "counts": st.dictionaries(TEXT, INT64, max_size=3),
        "byNumber": st.dictionaries(INT32.map(str), NESTED, max_size=2),
        "byFlag": st.dictionaries(st.sampled_from(["true", "false"]), COLOR, max_size=2),
        "choiceNested": NESTED,
        "maybe": TEXT,
        "maybe_nested": NESTED,
        "when": st.datetimes().map(lambda value: value.isoformat() + "Z"),
        "span": st.integers(-1000, 1000).map(lambda value: f"{value}.5s"),
        "mask": st.just("a.b,cD"),
        "structure": STRUCT,
        "value": FREE,
        "list": st.lists(FREE, max_size=2),
        "any": ANY,
        "wrappedText": TEXT,
        "wrappedLarge": INT64.map(str),
        "wrappedFlag": st.booleans(),
        "nothing": st.none(),
        "colors": st.lists(COLOR, max_size=2),
        "reals": st.lists(DOUBLE, max_size=2),
        "larges": st.lists(INT64, max_size=2),
        "ownName": TEXT,
    },
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["text", "nested", "child", "any", "value", "@type", "when"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


@quick
@given(content=EVERYTHING)
def test_reads_and_writes_what_json_format_does(codec: Codec, trial_types: DescriptorSet, content: Any) -> None:
    kind = trial_types.pool.FindMessageTypeByName("trial.v1.Everything")
    expected = message_class(kind)()
    json_format.ParseDict(content, expected, descriptor_pool=trial_types.pool)
    message = message_class(kind)()
    codec.decoder(kind)(message, parse_json(dump_json(content)))
    assert message.SerializeToString(deterministic=True) == expected.SerializeToString(deterministic=True)
    written = json.loads(dump_json(codec.encoder(kind)(message)), parse_int=float)
    reference = json_format.MessageToDict(
        message, always_print_fields_with_no_presence=True, descriptor_pool=trial_types.pool
    )
    # json_format prints no nulls, and fields without presence inside an Any only when they are set.
    written.pop("any", None), reference.pop("any", None)
    assert without_nulls(written) == without_nulls(reference)
    again = message_class(kind)()
    codec.decoder(kind)(again, parse_json(dump_json(codec.encoder(kind)(message))))
    assert codec.encoder(kind)(again).keys() == codec.encoder(kind)(message).keys()


@quick
@given(content=JSON)
def test_strange_json_is_refused_by_name_or_taken(codec: Codec, trial_types: DescriptorSet, content: Any) -> None:
    kind = trial_types.pool.FindMessageTypeByName("trial.v1.Everything")
    message = message_class(kind)()
    with contextlib.suppress(ValueInvalid):
        codec.decoder(kind)(message, content)
        codec.encoder(kind)(message)


@quick
@given(
    query=st.text("smal=&%;[].nested0123x+", max_size=30).map(str.encode),
    body=st.binary(max_size=10) | st.text('{}[]":,nameulr0', max_size=12).map(str.encode),
)
def test_strange_requests_never_raise_anything_else(
    codec: Codec, trial_types: DescriptorSet, query: bytes, body: bytes
) -> None:
    for method in trial_types.methods():
        for binding in http_bindings(method):
            template = parse_template(binding.template)
            with contextlib.suppress(Failure):
                RequestBinder(method.input_type, binding, template, codec).bind(
                    ["1"] * len(template.variables), query, body
                )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (1e15, "1000000000000000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
        (1e-6, "0.000001"),
        (1.5e-5, "0.000015"),
        (1e-7, "1e-7"),
        (2.5e-9, "2.5e-9"),
        (0.1, "0.1"),
        (math.inf, '"Infinity"'),
        (math.nan, '"NaN"'),
    ],
)
def test_floats_are_spelled_as_go_does(value: float, text: str) -> None:
    assert dump_json(float_to_json(value)).decode() == text


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_short_floats_stay_the_same_number(value: float) -> None:
    import struct

    assert struct.pack("<f", shortest_float(value)) == struct.pack("<f", value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_stay_the_same_number(value: float) -> None:
    assert float(dump_json(float_to_json(value))) == value


def test_grpc_gateway_ignores_unknown_enum_names(trial_types: DescriptorSet) -> None:
    kind = trial_types.pool.FindMessageTypeByName("trial.v1.Everything")
    message = message_class(kind)()
    codec = Codec(trial_types, GRPC_GATEWAY)
    codec.decoder(kind)(message, {"color": "COLOR_GREEN", "colors": ["COLOR_GREEN", "COLOR_RED"]})
    assert codec.encoder(kind)(message)["colors"] == ["COLOR_RED"]


@pytest.mark.parametrize("text", [b"", b"  ", b"{", b"nul", b"1" * 5000])
def test_what_is_no_json(text: bytes) -> None:
    with pytest.raises(JsonInvalid):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a":1,"a":2}', "1:8"),
        ('{"é":1,\n  "b":{"c":"}\\"", "c":1}}', "2:19"),
        ('[{"a":1},{"a":1,"\\u0061" : 2}]', "1:17"),
        ('{"a":1}', ""),
    ],
)
def test_a_key_that_is_there_twice_is_shown_in_its_place(text: str, place: str) -> None:
    assert second_place(text) == (f"(line {place}): " if place else "")


@pytest.mark.parametrize(
    "start", [b'{"a":[' + b"1," * 2_000_000 + b"x", b'{"a":"' + b'\\"' * 2_000_000, b'[{"a":1},' * 500_000]
)
def test_a_long_malformed_text_is_refused_at_once(start: bytes) -> None:
    began = time.process_time()
    with pytest.raises(JsonInvalid, match="malformed"):
        parse_json(start)
    # Go's words for it would take five seconds, in which nobody else is served.
    assert time.process_time() - began < 3


def test_a_duplicate_among_many_keys_is_found_in_linear_time() -> None:
    """Counting each key anew took ten seconds for a tenth of these keys."""
    names = [f"k{number}" for number in range(200_000)]
    assert Doubled([(name, 1) for name in [*names, "k7", "k3", "k7"]]).names == ["k3", "k7"]
