"""What providers say when they refuse, in the shapes that there are. Their texts are read and never passed on."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

_MOST_CHARACTERS = 20_000
_MOST_DEPTH = 8
_TOO_LONG = re.compile(
    r"context[_ ](?:length|window|size)|prompt is too long|input is too long|too many (?:input )?tokens"
    r"|exceed\w* (?:the )?(?:available |model'?s? |maximum )*context|reduce the length",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context (?:length|window|size)(?: of this model)?(?: is| of|:)?(?: only| at most)?\s*\(?|>\s*)(\d{3,8})",
    re.IGNORECASE,
)
_FILTERED = frozenset({"content_filter", "content_policy_violation", "responsibleaipolicyviolation"})
_MOST = re.compile(r"(?:at most|less than or equal to|<=|maximum(?: value)?(?: is| of|:)?)\s*(\d{1,8})", re.IGNORECASE)
_UNWANTED = re.compile(
    r"unsupported|not support|not permitted|not allowed|forbidden|unknown|unrecogni[sz]ed|unexpected|extra|invalid"
    r"|not a valid|cannot find field|deprecated|no longer",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal names. `parameters` are the names that it points at, or else quotes; `most` a limit it tells."""

    is_too_long: bool = False
    context_tokens: int = 0
    is_filtered: bool = False
    parameters: tuple[str, ...] = ()
    most: int = 0
    text: str = field(default="", repr=False)


def read_refusal(body: object) -> Refusal:
    """Return what the body of a refusal names; a body of any shape is one."""
    told = list(_strings(body, _MOST_DEPTH))
    text = "\n".join(value for _, value in told)[:_MOST_CHARACTERS]
    codes = {value.lower() for name, value in told if name in ("code", "type", "innererror")}
    limit, most = _LIMIT.search(text), _MOST.search(text)
    return Refusal(
        is_too_long="context_length_exceeded" in codes or bool(_TOO_LONG.search(text)),
        context_tokens=int(limit[1]) if limit else 0,
        is_filtered=bool(codes & _FILTERED),
        parameters=tuple(_parameters(told, text)),
        most=int(most[1]) if most else 0,
        text=text,
    )


def status_of(error: object) -> int:
    """Return the status that an error within an answer has; 0 when it has none."""
    code = error.get("code", error.get("status")) if isinstance(error, Mapping) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 0


def _parameters(told: list[tuple[str, str]], text: str) -> Iterator[str]:
    """Yield what is pointed at, or else what is quoted in a text that complains of something unwanted."""
    pointed = [value for name, value in told if value and name in ("param", "parameter", "loc")]
    pointed += re.findall(r"'loc': \('body', '(\w+)'", text)
    if pointed:
        yield from (re.split(r"[.\[]", value)[0] for value in pointed if value != "body")
    elif _UNWANTED.search(text):
        yield from re.findall(r"['\"`]([a-z_]{1,40})['\"`]", text)
        yield from re.findall(r"\b([a-z]+_[a-z_]{1,40}|temperature|stream)\b", text)


def _strings(value: Any, depth: int, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield all texts in a body with the names that they stand under. Some providers hide JSON in texts."""
    if depth == 0:
        return
    if isinstance(value, Mapping):
        for key, one in list(value.items())[:50]:
            yield from _strings(one, depth - 1, str(key))
    elif isinstance(value, list | tuple):
        for one in value[:50]:
            yield from _strings(one, depth - 1, name)
    elif isinstance(value, str):
        text = value[:_MOST_CHARACTERS]
        yield name, text
        if text[:1] in ("{", "["):
            try:
                yield from _strings(json.loads(text), depth - 1, name)
            except (ValueError, RecursionError):
                return
