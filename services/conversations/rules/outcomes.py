"""How runs end that have no answer."""

from services.chassis.storable_text import storable
from services.conversations.rules import Outcome, RunState

_NOTHING_SAID = {
    "content_filter": ("CONTENT_FILTERED", "the content filter of the model's provider withheld the answer"),
    "length": ("EMPTY_ANSWER", "the model reached its limit of tokens before it said anything"),
}


def failed(reason: str, message: str) -> Outcome:
    """Return the outcome of a run that failed."""
    return Outcome(RunState.FAILED, error_reason=reason, error_message=storable(message))


def nothing_said(finish_reason: str) -> Outcome:
    """Return the outcome of a run whose model ended and said nothing that can be seen.

    It is not asked again: that would be paid for, and nobody knows whether it helps.
    """
    return failed(*_NOTHING_SAID.get(finish_reason, ("EMPTY_ANSWER", "the model said nothing")))
