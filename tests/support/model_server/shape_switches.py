"""Answers that are whole, and not of the shape that OpenAI's have; and some that are not whole."""

import asyncio

from tests.support.model_server.answers import (
    DONE,
    Answer,
    Request,
    chunk,
    completion,
    document,
    events,
    raw,
    streaming,
)

_HELLO = (chunk("Hello"), chunk(" there"))
_END = chunk(None, "stop")
_USAGE = completion(usage={"prompt_tokens": 7, "completion_tokens": 2})
_WHOLE = {
    "id": "1",
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello there"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 2},
}


def _odd(*odd: str) -> Answer:
    """Answer whole, with odd events before, between and after."""
    return events(*odd, _HELLO[0], *odd, _HELLO[1], *odd, _END, *odd, _USAGE, *odd, DONE)


def _with_usage(usage: object) -> Answer:
    return events(*_HELLO, _END, completion(usage=usage), DONE)


def _content(*contents: object) -> Answer:
    said = [completion({"index": 0, "delta": {"content": one}, "finish_reason": None}) for one in contents]
    return events(*said, _END, DONE)


async def _hanging_after_the_end(request: Request, writer: asyncio.StreamWriter) -> None:
    await streaming(*_HELLO, _END, then_hangs=True)(request, writer)


def _block(*lines: str, newline: str = "\n") -> bytes:
    return "".join(f"{line}{newline}" for line in lines).encode()


SHAPES: dict[str, Answer] = {
    "delta-null": _odd(completion({"index": 0, "delta": None, "finish_reason": None})),
    "delta-missing": _odd(completion({"index": 0, "finish_reason": None})),
    "delta-text": _odd(completion({"index": 0, "delta": "?", "finish_reason": None})),
    "choice-null": _odd(completion(None)),
    "choice-text": _odd(completion("?")),
    "choices-null": _odd('{"id": "1", "choices": null}'),
    "choices-empty": _odd(completion()),
    "choices-missing": _odd('{"id": "1"}'),
    "choices-object": events(
        *[f'{{"choices": {{"delta": {{"content": "{text}"}}}}}}' for text in ("Hello", " there")], _END, DONE
    ),
    "data-null": _odd("null"),
    "data-empty": _odd(""),
    "data-list": _odd("[]", "[null, 7]"),
    "data-number": _odd("7", "true", '"text"'),
    "data-words": _odd("ping"),
    "huge-number": _odd(f'{{"created": {"9" * 5000}, "choices": []}}'),
    "nan": _odd('{"created": NaN, "choices": [], "x": -Infinity}'),
    "deep": _odd("[" * 100_000),
    "usage-null-tokens": _with_usage({"prompt_tokens": None, "completion_tokens": None}),
    "usage-strings": _with_usage({"prompt_tokens": "7", "completion_tokens": "two"}),
    "usage-list": _with_usage([7, 2]),
    "usage-negative": _with_usage({"prompt_tokens": -7, "completion_tokens": 2.5}),
    "usage-nan": events(*_HELLO, _END, '{"usage": {"prompt_tokens": NaN, "completion_tokens": 1e999}}', DONE),
    "usage-missing": events(*_HELLO, _END, DONE),
    "no-finish-reason": events(*_HELLO, DONE),
    "no-finish-no-done": events(*_HELLO),
    "no-done": events(*_HELLO, _END, _USAGE),
    "role-only": events(chunk(None, None, role="assistant"), *_HELLO, _END, DONE),
    "no-ids": events(*(one.replace('"id": "1", ', "") for one in _HELLO), _END.replace('"id": "1", ', ""), DONE),
    "content-list": _content([{"type": "text", "text": "Hello"}], [" ", {"text": "there"}, {"type": "image"}, None]),
    "content-object": _content({"type": "text", "text": "Hello"}, {"text": {"value": " there"}}),
    "content-number": _content(4, 2, 0.5),
    "message-for-delta": events(
        completion({"index": 0, "message": {"content": "Hello there"}, "finish_reason": "stop"}), DONE
    ),
    "message-repeats": events(
        *_HELLO, completion({"index": 0, "message": {"content": "Hello there"}, "finish_reason": "stop"}), DONE
    ),
    "text-for-delta": events(*[completion({"text": text}) for text in ("Hello", " there")], _END, DONE),
    "two-choices": events(
        completion({"index": 0, "delta": {"content": "Hello"}}, {"index": 1, "delta": {"content": "Bye"}}),
        completion({"index": 1, "delta": {"content": "!"}}),
        completion({"index": 0, "delta": {"content": " there"}}),
        _END,
        DONE,
    ),
    "comments": raw(
        _block(": wait", "", ":", "", f"data: {_HELLO[0]}", "", ": wait", f"data: {_HELLO[1]}", ""),
        _block("event: x", "id: 7", "retry: 1", f"data:{_END}", "", "data: [DONE]", ""),
    ),
    "crlf": events(*_HELLO, _END, DONE, newline="\r\n"),
    "cr": events(*_HELLO, _END, DONE, newline="\r"),
    "bom": raw(b"\xef\xbb\xbf" + _block(f"data: {_HELLO[0]}", "", f"data: {_HELLO[1]}", "", f"data: {_END}", "")),
    "many-lines": raw(
        _block("data: {", 'data: "choices": [{"delta":', 'data: {"content": "Hello there"}}]}', ""), b"data: [DONE]\n\n"
    ),
    "no-last-newline": raw(_block(f"data: {_HELLO[0]}", "", f"data: {_HELLO[1]}", ""), f"data: {_END}".encode()),
    "two-in-one": events(_HELLO[0] + _HELLO[1], _END, DONE),
    "line-separator": events(*_HELLO, '{"choices": [{"delta": {"content": "\u2028\u0085\u000b"}}]}', _END, DONE),
    "document": document(_WHOLE),
    "document-as-stream": document(_WHOLE, content_type="text/event-stream"),
    "document-as-event": events('{"choices": [{"message": {"content": "Hello there"}, "finish_reason": "stop"}]}'),
    "lines": document("\n".join((*_HELLO, _END)), content_type="application/x-ndjson"),
    "content-very-deep": _odd(
        '{"choices": [{"delta": {"content": ' + "[" * 900 + '"?"' + "]" * 900 + "}}]}",
        '{"choices": [{"delta": {"content": ' + '{"text": ' * 900 + '"?"' + "}" * 901 + "}]}",
    ),
    "hangs-after-end": _hanging_after_the_end,
    "cut-after-end": raw(*(f"data: {one}\n\n".encode() for one in (*_HELLO, _END)), ends=False),
    "error-after-end": events(*_HELLO, _END, '{"error": {"message": "sk-a-secret"}}', DONE),
    # From here on the answer is not whole.
    "cut": raw(*(f"data: {one}\n\n".encode() for one in _HELLO), ends=False),
    "cut-in-an-event": raw(f"data: {_HELLO[0]}\n\n".encode(), f"data: {_HELLO[1][:40]}".encode(), ends=False),
    "error-in-mid-stream": events(_HELLO[0], '{"error": {"message": "sk-a-secret ran out", "code": 500}}', DONE),
    "error-text-in-mid-stream": events(_HELLO[0], '{"error": "sk-a-secret"}', DONE),
    "error-event": raw(_block(f"data: {_HELLO[0]}", "", "event: error", 'data: {"message": "sk-a-secret"}', "")),
    "error-in-200": document({"error": {"message": "sk-a-secret", "code": "oops"}}),
    "html": document("<!doctype html><title>sk-a-secret</title>", content_type="text/html"),
    "html-as-stream": document("<!doctype html><title>sk-a-secret</title>", content_type="text/event-stream"),
    "no-body": document(""),
    "broken-document": document('{"choices": [{"message": {"content": "Hel'),
    "broken-event": events(_HELLO[0], '{"choices": [{"delta": {"conte', DONE),
    "very-long-line": raw(b"data: ", *[b"x" * 1_000_000] * 20, b"\n\n"),
    "endless-line": raw(b": ", *[b"x" * 1_000_000] * 200),
}
