"""How traces are named: after the request that begins them, so that one number finds everything."""

import os
import re

_GOOD = re.compile(r"(?!0{32})[0-9a-f]{16}(?!0{16})[0-9a-f]{16}").fullmatch
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


def trace_id_of(request_id: str) -> str:
    """Return the trace's id (32 hexadecimal digits): the digits of a request id that is a UUID, else new ones."""
    digits = request_id.replace("-", "")
    return digits if _GOOD(digits) else os.urandom(16).hex()


def new_traceparent(request_id: str) -> str:
    """Return the `traceparent` (W3C Trace Context) that begins the trace of a request.

    Nothing records the request itself as a span: half of the digits do for its id.
    """
    trace_id = trace_id_of(request_id)
    return f"00-{trace_id}-{trace_id[16:]}-00"


def is_traceparent(value: str) -> bool:
    """Return whether a `traceparent` may be gone on with."""
    return _TRACEPARENT.fullmatch(value) is not None
