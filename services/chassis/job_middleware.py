"""What happens around every background job."""

from contextlib import AbstractContextManager
from threading import local
from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, Retries

from services.chassis import tracing


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
