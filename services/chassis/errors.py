"""Expected failures. They import no gRPC, so that rules may raise them; one interceptor turns them into a status."""

from enum import IntEnum
from typing import ClassVar

_MOST_CHARACTERS = 200
_MOST_SUMMARY_CHARACTERS = 1000


class Kind(IntEnum):
    """What kind of failure it is; the numbers are those of google.rpc.Code."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class ServiceError(Exception):
    """An expected failure: its class is the reason, its fields are the data, its text is built from both.

    A subclass sets `kind`, `reason` (UPPER_SNAKE_CASE), `domain` and `template`, a format string over the fields.
    Long fields are cut: they travel in trailers, which hold a few KiB, and may repeat what a stranger sent.
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    domain: ClassVar[str] = "parley"
    template: ClassVar[str]
    _most_characters: ClassVar[int] = _MOST_CHARACTERS

    def __init__(self, **fields: object) -> None:
        self.fields = {name: _cut(str(value), self._most_characters) for name, value in fields.items()}
        super().__init__(self.template.format(**self.fields))

    @property
    def message(self) -> str:
        """The failure in words, for the client."""
        return str(self)

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        """The fields of the request that are to blame, as (field path, description)."""
        return ()

    @property
    def retry_after_seconds(self) -> float:
        """After how long trying again makes sense; 0 when that cannot be said."""
        return 0.0


class InvalidFields(ServiceError):
    """Fields of the request break their limits."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_FIELD"
    template = "{summary}"
    _most_characters = _MOST_SUMMARY_CHARACTERS

    def __init__(self, violations: list[tuple[str, str]]) -> None:
        self._violations = tuple((_cut(field), _cut(description)) for field, description in violations)
        super().__init__(
            field=self._violations[0][0],
            summary="; ".join(f"{field}: {description}" for field, description in self._violations),
        )
        del self.fields["summary"]

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return self._violations


def _cut(text: str, most: int = _MOST_CHARACTERS) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


class RequestMalformed(ServiceError):
    """The bytes of the request are no message of its type, or hold a string that is not UTF-8."""

    kind = Kind.INVALID_ARGUMENT
    reason = "REQUEST_MALFORMED"
    template = "the request cannot be read: it is malformed, or holds a string that is not UTF-8"


class NotUpdatable(ServiceError):
    """The update mask names a field that does not exist or cannot be changed. Each service has its own, by domain."""

    kind = Kind.INVALID_ARGUMENT
    reason = "FIELD_NOT_UPDATABLE"
    template = "update_mask: {field} cannot be changed"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("update_mask", f"{self.fields['field']} cannot be changed"),)


class RequestIdSpent(ServiceError):
    """The same request id came before with something else. Each service has its own, by domain."""

    kind = Kind.INVALID_ARGUMENT
    reason = "REQUEST_ID_REUSED"
    template = "request_id: {request_id} was used before for something else"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("request_id", "was used before for something else"),)


class EtagOutdated(ServiceError):
    """Somebody changed it since it was read. Each service has its own, by domain."""

    kind = Kind.ABORTED
    reason = "ETAG_MISMATCH"
    template = "etag: it was changed by somebody else; it is {etag} now"


class Unauthenticated(ServiceError):
    """The caller shows no token, or one that is not good."""

    kind = Kind.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"
    template = "{cause}"


class PermissionDenied(ServiceError):
    """The caller is known but may not do this."""

    kind = Kind.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"
    template = "{method} needs {needed}"


class SessionCheckUnavailable(ServiceError):
    """Whether the caller's session has ended cannot be told, so nobody is let in."""

    kind = Kind.UNAVAILABLE
    reason = "SESSION_CHECK_UNAVAILABLE"
    template = "the session cannot be checked now; try again"

    @property
    def retry_after_seconds(self) -> float:
        return 1.0


class MembershipCheckUnavailable(ServiceError):
    """What the caller is in the organisation cannot be told, so nothing of it is changed."""

    kind = Kind.UNAVAILABLE
    reason = "MEMBERSHIP_CHECK_UNAVAILABLE"
    template = "the membership cannot be checked now; try again"

    @property
    def retry_after_seconds(self) -> float:
        return 1.0


class ServiceTokenUnavailable(ServiceError):
    """This service cannot get a token of its own from the issuer, so no other service would let it in."""

    kind = Kind.UNAVAILABLE
    reason = "SERVICE_TOKEN_UNAVAILABLE"
    template = "another service cannot be asked now; try again"


class StoreUnavailable(ServiceError):
    """PostgreSQL cannot be reached now, such as while it starts again."""

    kind = Kind.UNAVAILABLE
    reason = "STORE_UNAVAILABLE"
    template = "the database cannot be reached now; try again"

    @property
    def retry_after_seconds(self) -> float:
        return 1.0
