"""When signing keys come and go."""

from datetime import timedelta

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from services.identity.operations.keep_keys import KeepKeys
from services.identity.rules.signing_keys import (
    KeySchedule,
    SigningKey,
    next_number,
    next_signs_from,
    published_keys,
    signing_key,
)
from tests.services.identity.fakes import START, FakeClock, MemoryKeyStore, NamingSigner

SCHEDULE = KeySchedule(
    rotation=timedelta(days=30), publish_ahead=timedelta(minutes=10), kept_after=timedelta(minutes=35)
)
TOKEN_LIFETIME = timedelta(minutes=30)
FIRST = SigningKey(1, "first", START, "pem")
SECOND = SigningKey(2, "second", START + timedelta(days=30), "pem")


@pytest.mark.parametrize(
    ("keys", "after", "expected"),
    [
        ([], timedelta(), timedelta()),
        ([FIRST], timedelta(), None),
        ([FIRST], timedelta(days=30, minutes=-11), None),
        ([FIRST], timedelta(days=30, minutes=-10), timedelta(days=30)),
        ([FIRST], timedelta(days=90), timedelta(days=90, minutes=10)),
        ([FIRST, SECOND], timedelta(days=30, minutes=-5), None),
        ([FIRST], timedelta(days=-1), None),
    ],
)
def test_a_new_key_is_due_before_the_old_one_has_signed_long_enough(
    keys: list[SigningKey], after: timedelta, expected: timedelta | None
) -> None:
    due = next_signs_from(keys, SCHEDULE, START + after)
    assert due == (None if expected is None else START + expected)


@pytest.mark.parametrize(
    ("after", "signs", "published"),
    [
        (timedelta(days=-1), "first", ["first", "second"]),
        (timedelta(days=30, seconds=-1), "first", ["first", "second"]),
        (timedelta(days=30), "second", ["first", "second"]),
        (timedelta(days=30, minutes=34), "second", ["first", "second"]),
        (timedelta(days=30, minutes=35), "second", ["second"]),
        (timedelta(days=400), "second", ["second"]),
    ],
)
def test_a_key_signs_in_its_time_and_stays_published_after_it(
    after: timedelta, signs: str, published: list[str]
) -> None:
    now = START + after
    assert signing_key([SECOND, FIRST], now).key_id == signs
    assert [key.key_id for key in published_keys([SECOND, FIRST], SCHEDULE, now)] == published


@settings(database=None)
@given(st.lists(st.integers(1, 1200) | st.integers(1, 40 * 24 * 3600), max_size=60))
def test_every_token_can_be_checked_for_as_long_as_it_is_good(steps: list[int]) -> None:
    keys: list[SigningKey] = []
    published_since: dict[str, int] = {}
    live: list[tuple[str, int]] = []
    now = 0
    for step in [0, *steps]:
        now += step
        moment = START + timedelta(seconds=now)
        # A token that is signed long before the keys are looked at again is good until then, too.
        published_now = {key.key_id for key in published_keys(keys, SCHEDULE, moment)}
        live = [(key_id, until) for key_id, until in live if until > now]
        assert {key_id for key_id, _ in live} <= published_now
        keys = [key for key in keys if key.key_id in published_now]
        due = next_signs_from(keys, SCHEDULE, moment)
        if due is not None:
            number = next_number(keys)
            keys.append(SigningKey(number, f"key-{number}", due, "pem"))
            published_since[f"key-{number}"] = now
        signer = signing_key(keys, moment)
        assert signer.number == 1 or now - published_since[signer.key_id] >= SCHEDULE.publish_ahead.total_seconds()
        live.append((signer.key_id, now + int(TOKEN_LIFETIME.total_seconds())))
        assert len(keys) <= 3
        assert next_signs_from(keys, SCHEDULE, moment) is None


async def test_two_processes_that_share_a_store_agree() -> None:
    clock, store = FakeClock(), MemoryKeyStore()
    one, other = (KeepKeys(store, NamingSigner(), SCHEDULE, clock) for _ in range(2))
    for _ in range(80):
        await one.refresh()
        await other.refresh()
        assert one.key_set() == other.key_set()
        assert one.sign({"jti": 1}) == other.sign({"jti": 1})
        clock.advance(days=1, minutes=7)
    assert len(store.keys) <= 2
    assert max(store.keys) >= 3


async def test_who_loses_the_race_for_a_key_takes_the_winners() -> None:
    class Slow(NamingSigner):
        async def make_key(self) -> tuple[str, str]:
            await winner.refresh()
            return await super().make_key()

    clock, store = FakeClock(), MemoryKeyStore()
    winner = KeepKeys(store, NamingSigner(), SCHEDULE, clock)
    loser = KeepKeys(store, Slow(), SCHEDULE, clock)
    await loser.refresh()
    assert loser.key_set() == winner.key_set()
    assert len(store.keys) == 1
