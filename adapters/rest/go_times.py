"""Reads times and durations out of texts as Go's time package and protojson do."""

import re
from datetime import date

SECONDS_PER_DAY = 86400
_EPOCH = date(1970, 1, 1)
# Python's calendar begins with year 1; year 400 has the days of year 0, and is so many days later.
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146097
_EARLIEST, _LATEST = -62135596800, 253402300799
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:[.,]([0-9]+))?"
    r"(?:Z|([+-])([0-9]{2}):([0-9]{2}))"
)
_NANO_DIGITS = 9
_LONGEST_DURATION = 315_576_000_000
_JSON_DURATION = re.compile(r"([+-]?)(0|[1-9][0-9]*|(?=\.))(?:\.([0-9]{0,9}))?s")
_DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(ns|us|µs|μs|ms|s|m|h)")
_NANOS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_LIMIT = 2**63

Moment = tuple[int, int]
"""Seconds and nanoseconds."""


def parse_time(text: str) -> Moment:
    """Return the moment of an RFC 3339 text, as time.Parse does: what follows the ninth digit of a second is cut off.

    Raises:
        ValueError: it is no such text, or not within the years 1 to 9999.
    """
    match = _TIME.fullmatch(text)
    if not match:
        raise ValueError(text)
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(text)
    days = (date(year or _CYCLE_YEARS, month, day) - _EPOCH).days - (0 if year else _CYCLE_DAYS)
    seconds = days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
    if match[8]:
        hours, minutes = int(match[9]), int(match[10])
        if hours > 24 or minutes > 60:  # so says Go
            raise ValueError(text)
        offset = hours * 3600 + minutes * 60
        seconds -= offset if match[8] == "+" else -offset
    if not _EARLIEST <= seconds <= _LATEST:
        raise ValueError(text)
    return seconds, int((match[7] or "").ljust(_NANO_DIGITS, "0")[:_NANO_DIGITS])


def parse_json_time(text: str) -> Moment:
    """Return the moment of a text in JSON, as protojson does: no more than nine digits after a full stop.

    Raises:
        ValueError: it is no such text, or not within the years 1 to 9999.
    """
    moment = parse_time(text)
    fraction = text.partition(".")[2]
    if len(re.split("[Z+-]", fraction)[0]) > _NANO_DIGITS:
        raise ValueError(text)
    return moment


def parse_json_duration(text: str) -> Moment:
    """Return the duration of a text such as `1.5s`, as protojson does.

    Raises:
        ValueError: it is no such text, or longer than 10,000 years.
    """
    match = _JSON_DURATION.fullmatch(text)
    if not match or len(match[2]) > len(str(_LONGEST_DURATION)):
        raise ValueError(text)
    seconds, nanos = int(match[2] or "0"), int((match[3] or "").ljust(_NANO_DIGITS, "0"))
    if seconds > _LONGEST_DURATION or (seconds == _LONGEST_DURATION and nanos):
        raise ValueError(text)
    return (-seconds, -nanos) if match[1] == "-" else (seconds, nanos)


def parse_go_duration(text: str) -> int:
    """Return the nanoseconds of a text such as `1h30m`, as time.ParseDuration does.

    Raises:
        ValueError: it is no such text, or does not fit.
    """
    negative = text.startswith("-")
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    if not body:
        raise ValueError(text)
    total = at = 0
    while at < len(body):
        match = _DURATION_PART.match(body, at)
        if not match or not (match[1] or match[2]):
            raise ValueError(text)
        total += _part(match[1], match[2] or "", _NANOS[match[3]])
        if total > _LIMIT:
            raise ValueError(text)
        at = match.end()
    if total == _LIMIT and not negative:
        raise ValueError(text)
    return -total if negative else total


def _part(whole: str, fraction: str, unit: int) -> int:
    digits = whole.lstrip("0")
    if len(digits) > len(str(_LIMIT)):
        raise ValueError(whole)
    nanos = int(digits or "0") * unit
    if nanos > _LIMIT:
        raise ValueError(whole)
    # Go reads as many digits as fit, and drops the rest.
    value, scale = 0, 1.0
    for digit in fraction:
        following = value * 10 + int(digit)
        if value > (_LIMIT - 1) // 10 or following > _LIMIT:
            break
        value, scale = following, scale * 10
    return nanos + int(float(value) * (float(unit) / scale)) if value else nanos
