"""Whatever clients do with refresh tokens: a session never has two live tokens, and reuse always ends it."""

import asyncio

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from services.identity.errors import InvalidRefreshToken, RefreshTokenReused
from services.identity.rules.sessions import TokenPair
from tests.services.identity.house import REFRESH, House


class Sessions(RuleBasedStateMachine):
    """Random sign-ins, refreshes, sign-outs and waits, held against a model of a few sets."""

    tokens = Bundle("tokens")

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.runner = asyncio.Runner()
        self.session_of: dict[str, str] = {}
        self.expires: dict[str, float] = {}
        self.spent: set[str] = set()
        self.ended: set[str] = set()

    @initialize()
    def start(self) -> None:
        self.runner.run(self.house.keys.refresh())
        self.runner.run(self.house.ann())

    @rule(target=tokens)
    def sign_in(self) -> str:
        return self._keep(self.runner.run(self.house.sign_in()))

    @rule(target=tokens, token=tokens)
    def refresh(self, token: str) -> str:
        session = self.session_of[token]
        try:
            pair = self.runner.run(self.house.refreshing.refresh(token))
        except RefreshTokenReused:
            assert token in self.spent
            assert session not in self.ended
            self.ended.add(session)
            return token
        except InvalidRefreshToken:
            assert session in self.ended or self._expired(token)
            return token
        assert session not in self.ended
        assert token not in self.spent
        assert not self._expired(token)
        self.spent.add(token)
        successor = self._keep(pair)
        assert self.session_of[successor] == session
        return successor

    @rule(token=tokens)
    def sign_out(self, token: str) -> None:
        self.runner.run(self.house.sign_out(self.session_of[token]))
        self.ended.add(self.session_of[token])

    @rule(days=st.integers(1, 8))
    def wait(self, days: int) -> None:
        self.house.clock.advance(days=days)

    @rule()
    def tidy(self) -> None:
        self.runner.run(self.house.ending.tidy())

    @invariant()
    def every_end_is_announced(self) -> None:
        assert self.ended <= set(self.house.ended.announced)

    @invariant()
    def a_session_has_one_live_token_at_most(self) -> None:
        live = [token.session_id for token in self.house.transactions.state.tokens.values() if token.spent_at is None]
        assert len(live) == len(set(live))

    def teardown(self) -> None:
        self.runner.close()

    def _keep(self, pair: TokenPair) -> str:
        self.session_of[pair.refresh_token] = self.house.session_of(pair)
        self.expires[pair.refresh_token] = (self.house.clock.now + REFRESH).timestamp()
        return pair.refresh_token

    def _expired(self, token: str) -> bool:
        return self.expires[token] <= self.house.clock.now.timestamp()


TestSessions = Sessions.TestCase
TestSessions.settings = settings(max_examples=60, stateful_step_count=30, database=None)
