"""Calls of the tools `weather` and `order`, told in every way that providers have. With the results they say `Done.`"""

import json
from typing import Any

from tests.support.model_server.answers import DONE, Answer, by_round, called, chunk, completion, events, function, well

_ARGUMENTS = '{"city": "Huế"}'
_END = chunk(None, "tool_calls")


def _calls(*said: str, end: str = _END) -> Answer:
    return by_round(events(*said, end, DONE), well(["Done."]))


def _at_once(*pieces: object) -> str:
    return chunk(None, None, tool_calls=list(pieces))


def _whole(call_id: object, name: object = "weather", arguments: object = _ARGUMENTS, index: object = 0) -> str:
    given: dict[str, Any] = {} if call_id is ... else {"id": call_id}
    return called(index, **given, type="function", function=function(name, arguments))


CALLS: dict[str, Answer] = {
    "call": _calls(_whole("a")),
    "calls-share-index": _calls(_whole("a"), _whole("b", "order", '{"n": 1}'), _whole("c", "order", '{"n": 2}')),
    "calls-share-index-at-once": _calls(
        _at_once(
            {"index": 0, "id": "a", "function": function("weather", _ARGUMENTS)},
            {"index": 0, "id": "b", "function": function("order", '{"n": 1}')},
            {"index": 0, "id": "c", "function": function("order", '{"n": 2}')},
        )
    ),
    "calls-share-index-in-pieces": _calls(
        called(0, id="a", function=function("weather", "")),
        called(0, function=function(None, '{"city": ')),
        called(0, function=function(None, '"Huế"}')),
        called(0, id="b", function=function("order", "")),
        called(0, function=function(None, '{"n": 1}')),
    ),
    "calls-without-index": _calls(_whole("a", index=...), _whole("b", "order", '{"n": 1}', index=...)),
    "calls-without-index-in-pieces": _calls(
        called(..., id="a", function=function("weather", '{"city": ')),
        called(..., function=function(None, '"Huế"}')),
        called(..., id="b", function=function("order", "")),
        called(..., function=function(None, '{"n": 1}')),
    ),
    "calls-without-id": _calls(_whole(..., index=0), _whole(..., "order", '{"n": 1}', index=1)),
    "calls-without-anything": _calls(_whole(..., index=...), _whole(..., "order", '{"n": 1}', index=...)),
    "calls-without-anything-at-once": _calls(
        _at_once({"function": function("weather", _ARGUMENTS)}, {"function": function("order", '{"n": 1}')})
    ),
    "calls-with-empty-ids": _calls(_whole("", index=0), _whole("", "order", '{"n": 1}', index=1)),
    "calls-with-null-ids": _calls(_whole(None, index=0), _whole(None, "order", '{"n": 1}', index=1)),
    "calls-with-one-id": _calls(_whole("a", index=0), _whole("a", "order", '{"n": 1}', index=1)),
    "calls-with-one-id-and-index": _calls(_whole("a", "order", '{"n": 1}'), _whole("a", "order", '{"n": 2}')),
    "calls-with-number-ids": _calls(_whole(7, index=0), _whole(8, "order", '{"n": 1}', index=1)),
    "calls-with-long-ids": _calls(_whole("a" * 500, index=0), _whole("b\x00 ộ", "order", '{"n": 1}', index=1)),
    "id-repeated": _calls(
        called(0, id="a", function=function("weather", '{"city": ')),
        called(0, id="a", function=function("weather", '"Huế"}')),
        called(0, id="a", function=function("", "")),
    ),
    "call-repeated": _calls(_whole("a"), _whole("a")),
    "name-split": _calls(
        called(0, id="a", function=function("wea", "")),
        called(0, function=function("ther", "")),
        called(0, function=function(None, _ARGUMENTS)),
    ),
    "name-late": _calls(
        called(0, id="a"), called(0, function=function("weather")), called(0, function=function(None, _ARGUMENTS))
    ),
    "arguments-object": _calls(_whole("a", arguments={"city": "Huế"})),
    "arguments-missing": _calls(_whole("a", "weather", None)),
    "arguments-empty": _calls(_whole("a", "weather", "")),
    "arguments-cut": _calls(_whole("a", arguments='{"city":"Hu')),
    "arguments-list": _calls(_whole("a", arguments='["Huế"]')),
    "arguments-null": _calls(_whole("a", arguments="null")),
    "arguments-number": _calls(_whole("a", arguments=7)),
    "arguments-nan": _calls(_whole("a", arguments='{"city": NaN}')),
    "arguments-twice": _calls(_whole("a", arguments='{"city": "Huế"}{"city": "Huế"}')),
    "arguments-deep": _calls(_whole("a", arguments='{"city":' * 5000 + "1" + "}" * 5000)),
    "arguments-deep-object": _calls(_whole("a").replace(json.dumps(_ARGUMENTS), '{"city":' * 300 + "1" + "}" * 300)),
    "arguments-nul": _calls(_whole("a", arguments='{"city": "H\x00u\ud83d"}')),
    "arguments-long": _calls(_whole("a", arguments='{"city": "' + "x" * 200_000 + '"}')),
    "arguments-very-long": _calls(_whole("a", arguments='{"city": "' + "x" * 3_000_000 + '"}')),
    "name-unknown": _calls(_whole("a", "wea ther\x00\ud83d")),
    "name-empty": _calls(_whole("a", "")),
    "name-null": _calls(_whole("a", None)),
    "name-long": _calls(_whole("a", "x" * 5000)),
    "function-null": _calls(called(0, id="a", function=None)),
    "call-null": _calls(_whole("a"), chunk(None, None, tool_calls=[None, 7, "x"])),
    "calls-null": _calls(chunk(None, None, tool_calls=None), _whole("a")),
    "call-alone": _calls(chunk(None, None, tool_calls={"id": "a", "function": function("weather", _ARGUMENTS)})),
    "call-flat": _calls(chunk(None, None, tool_calls=[{"id": "a", "name": "weather", "arguments": _ARGUMENTS}])),
    "function-call": _calls(
        chunk(None, None, function_call=function("weather", "")),
        chunk(None, None, function_call=function(None, _ARGUMENTS)),
        end=chunk(None, "function_call"),
    ),
    "call-in-message": _calls(
        completion({"message": {"tool_calls": [{"id": "a", "function": function("weather", _ARGUMENTS)}]}})
    ),
    "call-and-stop": _calls(_whole("a"), end=chunk(None, "stop")),
    "calls-too-many": _calls(*[_whole(f"a{n}", "order", f'{{"n": {n}}}', index=n) for n in range(200)]),
}
