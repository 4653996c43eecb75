"""What happens around every background job."""

import time
from contextlib import AbstractContextManager
from threading import local
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, Retries

from services.chassis import metrics, tracing

# https://opentelemetry.io/docs/specs/semconv/messaging/messaging-metrics: messaging.process.duration
_DURATION = metrics.histogram(
    "messaging_process_duration_seconds",
    "Background jobs that were done, by queue and outcome: succeeded, retried, dead_lettered, skipped.",
    ("messaging_destination_name", "outcome"),
    metrics.WORK_BUCKETS,
)


class SafeRetries(Retries):
    """Retries that cannot lose a message.

    Dramatiq swallows an exception in `after_process_message` and then acknowledges: when the broker is away just as the
    retry is to be stored, the message would be gone. Failing it keeps it.
    """

    def after_process_message(
        self, broker: dramatiq.Broker, message: Any, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        try:
            super().after_process_message(  # type: ignore[no-untyped-call]
                broker, message, result=result, exception=exception
            )
        except Exception:
            message.fail()
            raise


class Tracing(Middleware):
    """Carries the trace of whoever asked for a job into the job, its logs and its calls."""

    def __init__(self) -> None:
        self._of_thread = local()

    def before_enqueue(self, _broker: Any, message: Any, _delay: int | None) -> None:
        # A retry keeps the trace that it has.
        for name, value in tracing.headers().items():
            message.options.setdefault(name, value)

    def before_process_message(self, _broker: Any, message: Any) -> None:
        block: AbstractContextManager[str] = tracing.continued(message.options)
        block.__enter__()
        self._of_thread.block = block

    def after_process_message(self, _broker: Any, _message: Any, *, result: Any = None, exception: Any = None) -> None:  # noqa: ARG002
        self._of_thread.block.__exit__(None, None, None)

    def after_skip_message(self, _broker: Any, _message: Any) -> None:
        self._of_thread.block.__exit__(None, None, None)


class Metering(Middleware):
    """Counts and times jobs. Stands before SafeRetries, and so learns afterwards what became of a failed one."""

    def __init__(self) -> None:
        self._of_thread = local()

    def before_process_message(self, _broker: Any, _message: Any) -> None:
        self._of_thread.started = time.perf_counter()

    def after_process_message(self, _broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:  # noqa: ARG002
        failed = "dead_lettered" if message.failed else "retried"
        self._note(message, "succeeded" if exception is None else failed)

    def after_skip_message(self, _broker: Any, message: Any) -> None:
        self._note(message, "skipped")

    def _note(self, message: Any, outcome: str) -> None:
        # What is delayed comes from a queue beside its own.
        queue = message.queue_name.removesuffix(".DQ")
        _DURATION.labels(queue, outcome).observe(time.perf_counter() - self._of_thread.started)
