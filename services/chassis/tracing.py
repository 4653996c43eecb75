"""The trace that a request belongs to: W3C Trace Context, carried through RPCs, outbox rows, jobs and events.

It is OpenTelemetry's context, so that an SDK that is installed sees it; without one it still ties the logs of all
processes together.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import structlog
from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from services.chassis.trace_ids import trace_id_of

_PROPAGATOR = TraceContextTextMapPropagator()
_FIELDS = ("traceparent", "tracestate")


def headers() -> dict[str, str]:
    """Return the headers (`traceparent`, `tracestate`) that carry the current trace on; empty outside of any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier


def begin(carrier: Mapping[str, object], request_id: str = "") -> str:
    """Go on with the trace that `carrier` names until the task ends; with a new one when it names none that is good.

    A new one has the digits of the request's id, when that is a UUID. Returns the trace's id (32 hexadecimal digits),
    which stands in all logs from here on as `trace_id`.
    """
    trace_id, within = _extracted(carrier, request_id)
    context.attach(within)
    structlog.contextvars.bind_contextvars(trace_id=trace_id)
    return trace_id


@contextmanager
def continued(carrier: Mapping[str, object]) -> Iterator[str]:
    """Do as `begin` does, for a block only. Yields the trace's id."""
    trace_id, within = _extracted(carrier)
    token = context.attach(within)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=trace_id):
            yield trace_id
    finally:
        context.detach(token)


def _extracted(carrier: Mapping[str, object], request_id: str = "") -> tuple[str, context.Context]:
    given = {name: value for name in _FIELDS if isinstance(value := carrier.get(name), str)}
    within = _PROPAGATOR.extract(given)
    span = trace.get_current_span(within).get_span_context()
    if not span.is_valid:
        span = trace.SpanContext(int(trace_id_of(request_id), 16), secrets.randbits(64), is_remote=False)
        within = trace.set_span_in_context(trace.NonRecordingSpan(span), within)
    return trace.format_trace_id(span.trace_id), within
