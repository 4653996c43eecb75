"""Texts that stores or UTF-8 cannot hold, that are thoughts, or that are nothing."""

from tests.support.model_server.answers import DONE, Answer, chunk, completion, events, raw, well

_SMILE = "data: {}\n\n".format(
    '{"choices": [{"index": 0, "delta": {"content": "a😀b"}, "finish_reason": "stop"}]}'
).encode()
_END = chunk(None, "stop")


def _cut_everywhere(said: bytes) -> list[bytes]:
    return [said[at : at + 1] for at in range(len(said))]


def _thinking(*pieces: str) -> Answer:
    return events(*map(chunk, pieces), _END, DONE)


TEXTS: dict[str, Answer] = {
    "nul": events(chunk("a\x00"), chunk("\x00b"), _END, DONE),
    "only-nul": events(chunk("\x00"), _END, DONE),
    "lone-high": events(chunk("a\ud83d"), chunk("b"), _END, DONE),
    "lone-low": events(chunk("a"), chunk("\ude00b"), _END, DONE),
    "lone-last": events(chunk("a"), chunk("\ud83d"), _END, DONE),
    "halves": events(chunk("a\ud83d"), chunk("\ude00b"), _END, DONE),
    "halves-apart": events(chunk("a\ud83d"), chunk("", role="assistant"), chunk(None), chunk("\ude00b"), _END, DONE),
    "swapped-halves": events(chunk("\ude00\ud83d"), _END, DONE),
    "utf-8-cut": raw(*_cut_everywhere(_SMILE), b"data: [DONE]\n\n"),
    "not-utf-8": raw(_SMILE.replace("😀".encode(), b"\xff\xfe"), b"data: [DONE]\n\n"),
    "half-utf-8": raw(_SMILE.replace("😀".encode(), b"\xed\xa0\xbd"), b"data: [DONE]\n\n"),
    "long": events(*[chunk("x" * 100_000)] * 30, _END, DONE),
    "long-at-once": events(chunk("x" * 3_000_000), _END, DONE),
    "longer-than-a-message": events(chunk("x" * 12_000_000), _END, DONE),
    "many-tokens": events(
        chunk("a"), _END, completion(usage={"prompt_tokens": 2**40, "completion_tokens": 2**63}), DONE
    ),
    "empty": events(chunk(""), _END, DONE),
    "blank": events(chunk(" \n"), chunk("\t \u00a0"), _END, DONE),
    "nothing": events(DONE),
    "slow-drip": raw(*_cut_everywhere(_SMILE), b"data: [DONE]\n\n", seconds=0.01),
    "think": _thinking("<thi", "nk>secret", " plan</th", "ink>\n\nHello", " there"),
    "think-at-once": _thinking("<think>secret plan</think>Hello there"),
    "think-empty": _thinking("<think>\n\n</think>\n\n", "Hello there"),
    "think-within": _thinking("Hello ", "<think>secret plan</think>", "there"),
    "think-twice": _thinking("<think>secret</think>Hello", " <think>plan</think>", "there"),
    "think-open": events(chunk("<think>secret plan"), chunk(None, "length"), DONE),
    "think-named": _thinking("Use `<think>` and `</think>`, or a < b."),
    "think-never-closed": _thinking("The tag <think> opens it."),
    "think-letter-by-letter": _thinking(*"<think>secret plan</think>Hello there"),
    "think-unopened": _thinking("secret", " plan</th", "ink>\n\nHello", " there"),
    "think-unopened-at-once": _thinking("secret plan</think>Hello there"),
    "think-only-closed": _thinking("</think>\n\n", "Hello there"),
    "think-closed-twice": _thinking("<think>secret</think></think>Hello there"),
    "think-spaced": _thinking("<think >secret</think >Hello there"),
    "think-attribute": _thinking('<think signature="a">secret</think>Hello there'),
    "think-seed": _thinking("<seed:think>secret</seed:think>Hello there"),
    "think-magistral": _thinking("[THINK]secret[/THINK]Hello there"),
    "think-in-code": _thinking("```\n<think>\n", "</think>\n```"),
    "reasoning-content": events(chunk(None, None, reasoning_content="secret plan"), chunk("Hello there"), _END, DONE),
    "reasoning": events(
        chunk("", None, reasoning="secret", reasoning_details=[{"text": "plan"}]), chunk("Hello there"), _END, DONE
    ),
    "reasoning-parts": events(
        chunk(None, None, content=[{"type": "thinking", "thinking": [{"type": "text", "text": "secret plan"}]}]),
        chunk(None, None, content=[{"type": "text", "text": "Hello there"}]),
        _END,
        DONE,
    ),
    "content-filter": well(["Hel"], "content_filter"),
    "content-filter-at-once": events(chunk(None, "content_filter"), DONE),
    "length": well(["Hello"], "length"),
    "length-at-once": events(chunk("", "length"), DONE),
    "other-reason": well(["Hello"], "eos_tok\x00en!"),
    "number-reason": events(chunk("Hello"), completion({"index": 0, "delta": {}, "finish_reason": 7}), DONE),
    "error-reason": well(["Hello"], "error"),
}
