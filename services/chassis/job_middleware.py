"""What happens around every background job."""

import time
from contextlib import AbstractContextManager, suppress
from threading import local
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, Retries
from redis import Redis
from redis.exceptions import RedisError

from services.chassis import logs, metrics, tracebacks, tracing

MOST_BEGUN = 5
"""How often a job may be begun without an end. A supervisor may end the house when a worker dies once more."""
_COUNTED_SECONDS = 24 * 60 * 60
_log = logs.get(__name__)

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


class DeadlyJobs(Middleware):
    """Gives up a job that took several workers down with it: it becomes a dead letter.

    A job that is begun is counted in Valkey until it ends, in whatever way. RabbitMQ counts deliveries too, but also of
    what only waited in a worker that died, so that its limit has to be high. While Valkey is away nothing is counted.
    """

    def __init__(self, valkey: Redis | None) -> None:
        self._valkey = valkey
        self._of_thread = local()

    @property
    def actor_options(self) -> set[str]:
        """An actor with `deadly=False` does nothing that could harm its worker, and is not counted."""
        return {"deadly"}

    def before_process_message(self, broker: Any, message: Any) -> None:
        self._of_thread.counted = ""
        actor = broker.actors.get(message.actor_name)
        if self._valkey is None or actor is None or not actor.options.get("deadly", True):
            return
        key = f"parley:begun-jobs:{message.message_id}"
        try:
            with self._valkey.pipeline(transaction=False) as pipeline:
                pipeline.incr(key)
                pipeline.expire(key, _COUNTED_SECONDS)
                begun, _ = pipeline.execute()
        except RedisError as error:
            _log.warning("a job is not counted", cause=tracebacks.told(error))
            return
        self._of_thread.counted = key
        if begun > MOST_BEGUN:
            _log.error("a job took its workers down", actor=message.actor_name, message_id=message.message_id)
            message.fail()

    def after_process_message(self, _broker: Any, _message: Any, *, result: Any = None, exception: Any = None) -> None:  # noqa: ARG002
        self._ended()

    def after_skip_message(self, _broker: Any, _message: Any) -> None:
        self._ended()

    def _ended(self) -> None:
        if self._valkey is not None and self._of_thread.counted:
            with suppress(RedisError):
                self._valkey.delete(self._of_thread.counted)


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
        done = "succeeded" if exception is None else "retried"
        self._note(message, "dead_lettered" if message.failed else done)

    def after_skip_message(self, _broker: Any, message: Any) -> None:
        self._note(message, "skipped")

    def _note(self, message: Any, outcome: str) -> None:
        # What is delayed comes from a queue beside its own.
        queue = message.queue_name.removesuffix(".DQ")
        _DURATION.labels(queue, outcome).observe(time.perf_counter() - self._of_thread.started)
