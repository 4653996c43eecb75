"""The operations of identity, wired with fakes."""

from datetime import timedelta

from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.issue_tokens import IssueTokens, TokenPair
from services.identity.operations.keep_keys import KeepKeys
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.make_admin import MakeAdmin
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.sign_in import SignIn
from services.identity.rules import KeySchedule, User
from tests.services.identity.fakes import (
    FakeClock,
    FakeEndedSessions,
    MemoryKeyStore,
    MemoryTransactions,
    NamingSigner,
    PlainPasswordHasher,
)

ACCESS = timedelta(minutes=30)
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
        self.signer = NamingSigner()
        self.keys = KeepKeys(MemoryKeyStore(), self.signer, SCHEDULE, self.clock)
        tokens = IssueTokens(self.keys, "https://issuer", "parley", ACCESS, REFRESH)
        self.registering = RegisterUser(self.transactions, self.hasher, self.clock)
        self.signing_in = SignIn(self.transactions, self.hasher, tokens, self.clock)
        self.refreshing = RefreshSession(self.transactions, self.ended, tokens, self.clock)
        self.ending = EndSessions(self.transactions, self.ended, ACCESS, self.clock)
        self.users = KeepUsers(self.transactions, self.clock)

    def admins(self, *, strict: bool) -> MakeAdmin:
        return MakeAdmin(self.transactions, self.hasher, self.clock, strict)

    async def ann(self) -> User:
        return await self.registering.register("Ann@Example.com", "Ann", PASSWORD, "Ann B.")

    async def sign_in(self, login: str = "ann", password: str = PASSWORD) -> TokenPair:
        return await self.signing_in.sign_in(login, password)

    def session_of(self, pair: TokenPair) -> str:
        return str(self.signer.claims[pair.access_token]["sid"])
