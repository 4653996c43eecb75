"""The figures that Prometheus is told of answers."""

from datetime import UTC, datetime

from services.chassis import metrics
from services.conversations.rules import Run

_ACCEPTED = metrics.counter("parley_answers_accepted", "Messages that were accepted, each of which will be answered.")
_ENDED = metrics.histogram(
    "parley_answer_duration_seconds",
    "Answers that have ended, from the message that was accepted to the end that was stored, by state.",
    ("state",),
    metrics.WORK_BUCKETS,
)
_FIRST_TEXT = metrics.histogram(
    "parley_answer_time_to_first_text_seconds",
    "From the message that was accepted to the first text of its answer.",
    buckets=metrics.WORK_BUCKETS,
)
_FAILURES = metrics.counter("parley_answer_model_failures", "Times that a model broke off or could not be asked.")


def accepted() -> None:
    """Note that an answer is owed."""
    _ACCEPTED.inc()


def ended(run: Run) -> None:
    """Note that a run has ended."""
    if run.created_at is not None and run.ended_at is not None:
        _ENDED.labels(run.state.value).observe((run.ended_at - run.created_at).total_seconds())


def first_text(run: Run) -> None:
    """Note that a run's answer begins. The clocks of the process that accepted and of this one may differ a little."""
    if run.created_at is not None:
        _FIRST_TEXT.observe(max(0.0, (datetime.now(UTC) - run.created_at).total_seconds()))


def model_failed() -> None:
    """Note that a model gave no answer."""
    _FAILURES.inc()
