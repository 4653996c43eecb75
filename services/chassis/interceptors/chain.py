"""The one order of the interceptors."""

from collections.abc import Awaitable, Callable

from services.chassis.caller import Caller
from services.chassis.interceptors.authentication import authenticate_with
from services.chassis.interceptors.authorization import RoleOf, authorize_with
from services.chassis.interceptors.call import Interceptor
from services.chassis.interceptors.client_address import locate_client
from services.chassis.interceptors.error_status import answer_errors
from services.chassis.interceptors.logging import log_call
from services.chassis.interceptors.metering import meter_call
from services.chassis.interceptors.request_id import identify_request
from services.chassis.interceptors.session_end import end_with_session
from services.chassis.interceptors.trace import continue_trace
from services.chassis.interceptors.validation import validate
from services.chassis.open_sessions import OpenSessions


def interceptors(
    verify: Callable[[str], Awaitable[Caller]], role_of: RoleOf, sessions: OpenSessions
) -> tuple[Interceptor, ...]:
    """Return the interceptors, the outermost first.

    `verify` turns a bearer token into its caller; `role_of` says what a caller is in the organisation of the token.
    """
    return (
        identify_request,  # first: logs and errors carry the id
        locate_client,  # limits and audit events go by it
        continue_trace,  # beside it: logs carry the trace too
        log_call,  # outside of the errors, so that it sees the status that was answered
        meter_call,  # beside it, for the same reason
        answer_errors,  # outside of all that may refuse
        authenticate_with(verify),
        authorize_with(role_of),  # needs the caller; before validation, so that strangers learn nothing about fields
        end_with_session(sessions),  # needs the caller; only admitted streams are watched
        validate,  # last: only admitted callers make us read their request
    )
