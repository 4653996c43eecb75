"""What can go wrong with identity; protos/parley/identity/v1/error_reason.proto explains those that clients see."""

from services.chassis.errors import Kind, NotUpdatable, RequestIdSpent, ServiceError


class IdentityError(ServiceError):
    """A failure of this service."""

    domain = "identity.parley"


class EmailTaken(IdentityError):
    """Another user has the e-mail address."""

    kind = Kind.ALREADY_EXISTS
    reason = "EMAIL_TAKEN"
    template = "the e-mail address {email} is taken"


class UsernameTaken(IdentityError):
    """Another user has the username, or one that looks like it."""

    kind = Kind.ALREADY_EXISTS
    reason = "USERNAME_TAKEN"
    template = "the username {username} is taken, or looks like one that is"


class InvalidCredentials(IdentityError):
    """No active user has this login and password; which of the three it is, is not told."""

    kind = Kind.UNAUTHENTICATED
    reason = "INVALID_CREDENTIALS"
    template = "login or password is wrong"


class _RefreshRefused(IdentityError):
    """`session_id` names the session that has ended, for those who tell the house; the client does not see it."""

    kind = Kind.UNAUTHENTICATED

    def __init__(self, session_id: str = "", user_id: str = "") -> None:
        super().__init__()
        self.session_id = session_id
        self.user_id = user_id


class InvalidRefreshToken(_RefreshRefused):
    """The refresh token is unknown, expired, of an ended session or of a disabled user."""

    reason = "INVALID_REFRESH_TOKEN"
    template = "the refresh token is not valid; sign in again"


class RefreshTokenReused(_RefreshRefused):
    """A spent refresh token was shown again: it was copied, so its session has ended."""

    reason = "REFRESH_TOKEN_REUSED"
    template = "the refresh token was used before, so its session has ended; sign in again"


class UserNotFound(IdentityError):
    """No user has this id."""

    kind = Kind.NOT_FOUND
    reason = "USER_NOT_FOUND"
    template = "user_id: there is no user {user_id}"


class OrganizationNotFound(IdentityError):
    """The caller sees no organisation with this id."""

    kind = Kind.NOT_FOUND
    reason = "ORGANIZATION_NOT_FOUND"
    template = "organization_id: there is no organization {organization_id}"


class OrganizationNameTaken(IdentityError):
    """Another organisation has the name."""

    kind = Kind.ALREADY_EXISTS
    reason = "ORGANIZATION_NAME_TAKEN"
    template = "the name {name} is taken"


class AlreadyMember(IdentityError):
    """The user is a member of an organisation already; nobody is of two."""

    kind = Kind.FAILED_PRECONDITION
    reason = "ALREADY_MEMBER"
    template = "the user is a member of an organization already"


class TooManyAttempts(IdentityError):
    """Too many tries for one account or from one address."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "TOO_MANY_ATTEMPTS"
    template = "too many attempts; try again in {seconds} s"

    @property
    def retry_after_seconds(self) -> float:
        return float(self.fields["seconds"])


class DirectoryUnavailable(IdentityError):
    """Keycloak, which keeps the users, cannot be reached or does not do what this service asks."""

    kind = Kind.UNAVAILABLE
    reason = "DIRECTORY_UNAVAILABLE"
    template = "the users cannot be reached now; try again"


class AttemptsNotCounted(IdentityError):
    """The number of tries cannot be counted, so nobody is let in."""

    kind = Kind.UNAVAILABLE
    reason = "ATTEMPTS_NOT_COUNTED"
    template = "attempts cannot be counted now; try again"


class InvalidCode(IdentityError):
    """The code is wrong, used, expired or was tried too often; which of them, is not told."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_CODE"
    template = "the code is not valid; ask for another"

    @property
    def violations(self) -> tuple[tuple[str, str], ...]:
        return (("code", "is not valid"),)


class SessionNotFound(IdentityError):
    """The caller has no such session that goes on."""

    kind = Kind.NOT_FOUND
    reason = "SESSION_NOT_FOUND"
    template = "session_id: there is no session {session_id}"


class MemberRoleTooLow(IdentityError):
    """The caller's role in the organisation does not allow this."""

    kind = Kind.PERMISSION_DENIED
    reason = "MEMBER_ROLE_TOO_LOW"
    template = "this needs the role {needed} in the organization"


class LastOwner(IdentityError):
    """The organisation would be without an owner."""

    kind = Kind.FAILED_PRECONDITION
    reason = "LAST_OWNER"
    template = "the organization would be without an owner"


class OwnAccount(IdentityError):
    """Administrators would lock themselves out."""

    kind = Kind.FAILED_PRECONDITION
    reason = "OWN_ACCOUNT"
    template = "user_id: {user_id} is the caller; ask another administrator"


class InvitationNotFound(IdentityError):
    """There is no open invitation with this id or token for the caller."""

    kind = Kind.NOT_FOUND
    reason = "INVITATION_NOT_FOUND"
    template = "there is no such invitation"


class ApiKeyNotFound(IdentityError):
    """The caller has no such key that is good."""

    kind = Kind.NOT_FOUND
    reason = "API_KEY_NOT_FOUND"
    template = "api_key_id: there is no key {api_key_id}"


class InvalidApiKey(IdentityError):
    """The key is unknown, expired, revoked, or of a user who is disabled or whose address is not verified."""

    kind = Kind.UNAUTHENTICATED
    reason = "INVALID_API_KEY"
    template = "the API key is not valid"


class EmailNotVerified(IdentityError):
    """The caller has not shown to read what is sent to the address of the account."""

    kind = Kind.FAILED_PRECONDITION
    reason = "EMAIL_NOT_VERIFIED"
    template = "verify the e-mail address of the account first"


class RequestIdReused(IdentityError, RequestIdSpent):
    """The request id came before with something else."""


class RequestInProgress(IdentityError):
    """The same request is being done at this moment."""

    kind = Kind.ABORTED
    reason = "REQUEST_IN_PROGRESS"
    template = "the request {request_id} is being done at this moment; try again"


class FieldNotUpdatable(IdentityError, NotUpdatable):
    """The update mask names a field that does not exist or cannot be changed."""


class StartRefused(IdentityError):
    """The process must not start so; no client sees this."""

    kind = Kind.FAILED_PRECONDITION
    reason = "START_REFUSED"
    template = "{cause}"
