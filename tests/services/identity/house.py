"""The operations of identity, wired with fakes."""

from datetime import timedelta
from typing import cast

from services.identity.backends.builtin_sessions import BuiltinSessions
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.builtin_users import BuiltinUsers
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.operations.keep_keys import KeepKeys
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.operations.make_admin import MakeAdmin
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.sign_in import SignIn
from services.identity.operations.take_over_account import TakeOverAccount
from services.identity.ports.accounts import ApiKeys, Invitations, Limit, MemberRoles
from services.identity.ports.directory import Directory, OrganizationDirectory
from services.identity.rules.sessions import TokenPair
from services.identity.rules.signing_keys import KeySchedule
from services.identity.rules.users import User
from tests.services.identity.fakes import (
    FakeClock,
    FakeEndedSessions,
    MemoryAttempts,
    MemoryAuditLog,
    MemoryKeyStore,
    MemoryMailQueue,
    MemoryRefreshAnswers,
    MemoryTransactions,
    MemoryWork,
    NamingSigner,
    NoApiKeys,
    PlainPasswordHasher,
)

ACCESS = timedelta(minutes=17)  # not what the settings say when nobody sets them
REFRESH = timedelta(days=7)
SCHEDULE = KeySchedule(timedelta(days=30), timedelta(minutes=10), ACCESS + timedelta(minutes=5))
PASSWORD = "correct horse battery"


class House:
    """Everything, with fakes in reach."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.transactions = MemoryTransactions()
        self.hasher = PlainPasswordHasher()
        self.ended = FakeEndedSessions()
        self.answers = MemoryRefreshAnswers()
        self.signer = NamingSigner()
        self.keys = KeepKeys(MemoryKeyStore(), self.signer, SCHEDULE, self.clock)
        tokens = BuiltinTokens(self.keys.sign, "https://issuer", "parley", ACCESS, REFRESH)
        self.directory_users = BuiltinUsers(self.transactions, self.hasher, self.clock)
        self.sessions = BuiltinSessions(self.transactions, self.hasher, tokens, self.clock)
        self.audit = MemoryAuditLog()
        self.mails = MemoryMailQueue()
        journal = Journal(MemoryWork(), self.audit, self.clock, directory_is_ours=True)
        limits = LimitAttempts(MemoryAttempts(), Limit(100, 60), Limit(5, 900), Limit(3, 3600), *[Limit(100, 60)] * 3)
        # No test with fakes asks for an organisation: theirs are in PostgreSQL, and tested there.
        directory = Directory(self.directory_users, self.sessions, cast("OrganizationDirectory", None))
        self.registering = RegisterUser(self.directory_users, self.mails, limits, journal)
        self.signing_in = SignIn(directory, limits, journal)
        self.refreshing = RefreshSession(self.sessions, self.answers, self.ended, journal)
        self.ending_keys = EndApiKeys(MemoryWork(), cast("ApiKeys", NoApiKeys()), self.ended, self.clock)
        self.ending = EndSessions(self.sessions, self.ended, journal, self.ending_keys)
        self.taking_over = TakeOverAccount(
            MemoryWork(), directory, cast("MemberRoles", None), cast("Invitations", None), self.ending, self.ending_keys
        )
        self.users = KeepUsers(self.directory_users, journal)
        self.journal, self.limits = journal, limits

    def admins(self, *, strict: bool) -> MakeAdmin:
        return MakeAdmin(self.directory_users, self.taking_over, self.journal, strict)

    async def ann(self) -> User:
        return await self.registering.register("Ann@Example.com", "Ann", PASSWORD, "Ann B.")

    async def sign_in(self, login: str = "ann", password: str = PASSWORD) -> TokenPair:
        return await self.signing_in.sign_in(login, password)

    async def sign_out(self, session_id: str) -> None:
        (user,) = self.transactions.state.users
        await self.ending.end(user, session_id)

    def session_of(self, pair: TokenPair) -> str:
        return str(self.signer.claims[pair.access_token]["sid"])
