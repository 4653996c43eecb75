"""What identity tells, and what it mails of what it is told: over every bus, once however often an event comes."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager

import pytest
from parley.events.v1.log_event_pb2 import LogEvent
from parley.events.v1.user_paid_pb2 import UserPaid
from parley.identity.v1 import auth_service_pb2 as auth_pb
from parley.identity.v1 import user_admin_service_pb2 as admin_pb
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.events.topics import LOG_EVENT, NOTIFY_USER, USER_PAID, message_of, payload_of
from services.chassis.identifiers import new_id
from services.chassis.outbox import Event
from tests.acceptance.identity.event_house import ADMIN, PASSWORD, EventHouse, Someone, event_house
from tests.support.brokers import RunningBroker, running_kafka, running_rabbitmq

NEW = "another horse battery"
_STARTS: dict[str, Callable[..., AbstractContextManager[RunningBroker]]] = {
    "kafka": running_kafka,
    "rabbitmq": running_rabbitmq,
}


@pytest.fixture(scope="module", params=["in_process", *sorted(_STARTS)])
def events_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The bus."""
    if request.param == "in_process":
        yield ""
        return
    with _STARTS[request.param](tmp_path_factory.mktemp(request.param)) as broker:
        yield broker.url


@pytest.fixture(scope="module")
async def house(
    database: Database,
    postgres_url: str,
    valkey: Redis,
    valkey_url: str,
    events_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[EventHouse]:
    """Identity on the bus; its mails are files."""
    home = tmp_path_factory.mktemp("home")
    async with event_house(database, postgres_url, valkey, valkey_url, home, events_url) as house:
        yield house


async def change_password(house: EventHouse, who: Someone) -> None:
    request = auth_pb.ChangePasswordRequest(current_password=PASSWORD, password=NEW)
    await house.auth.ChangePassword(request, metadata=who.metadata)


async def test_a_changed_password_is_mailed_once_though_its_event_comes_twice(house: EventHouse) -> None:
    ann = await house.register()
    await change_password(house, ann)
    await house.mails(ann, "Your password was changed.")
    event = await house.event(NOTIFY_USER, user_id=ann.user_id, kind="password_changed")
    assert event.payload == {"user_id": ann.user_id, "kind": "password_changed", "data": {}}
    await house.bus.publish([event])
    # What comes behind it was mailed, so it was dealt with.
    key = await house.make_api_key(ann)
    [mail] = await house.mails(ann, "An API key")
    assert f", {'_'.join(key.split('_')[:2])}…, was made" in mail
    assert key not in mail
    assert len(await house.mails(ann, "Your password was changed.")) == 1


async def test_who_is_signed_out_by_an_administrator_is_told_why(house: EventHouse) -> None:
    ann, root = await house.register(), await house.sign_in(ADMIN)
    await house.admin.DisableUser(admin_pb.DisableUserRequest(user_id=ann.user_id), metadata=root.metadata)
    [mail] = await house.mails(ann, "signed out everywhere")
    assert "disabled your account" in mail


async def test_a_payment_is_told_to_who_paid_once_though_its_event_comes_twice(house: EventHouse) -> None:
    ann = await house.register()
    paid = [Event(new_id(), USER_PAID, ann.user_id, payload_of(_paid(ann, amount))) for amount in (1999, 1999_00, 5_00)]
    await house.bus.publish([paid[0], paid[1], paid[0], paid[2]])
    [last] = await house.mails(ann, "5.00 EUR")
    assert "We have received 5.00 EUR. Thank you." in last
    assert len(await house.mails(ann, " 19.99 EUR")) == len(await house.mails(ann, " 1999.00 EUR")) == 1


def _paid(who: Someone, amount: int) -> UserPaid:
    return UserPaid(payment_id=str(new_id()), user_id=who.user_id, amount=amount, currency="EUR")


async def test_what_was_done_and_what_was_refused_is_logged_without_secrets(house: EventHouse) -> None:
    ann = await house.register()
    with pytest.raises(Exception, match="UNAUTHENTICATED"):
        await house.auth.Login(auth_pb.LoginRequest(login=ann.email, password=NEW))
    await change_password(house, ann)
    event = await house.event(LOG_EVENT, action="password.change", subject_id=ann.user_id)
    said = message_of(event)
    assert isinstance(said, LogEvent)
    assert (said.service, said.actor_id, said.outcome, event.key) == ("identity", ann.user_id, "OK", ann.user_id)
    assert said.create_time.seconds > 0
    await house.event(LOG_EVENT, action="user.login", outcome="INVALID_CREDENTIALS")
    told = str(house.told)
    for secret in (PASSWORD, NEW, ann.token, ann.email):
        assert secret not in told


async def test_a_kind_that_nobody_here_knows_is_left_to_others(house: EventHouse) -> None:
    ann = await house.register()
    unknown: dict[str, object] = {"user_id": ann.user_id, "kind": "lesson_due", "data": {}, "more": "than we know"}
    await house.bus.publish([Event(new_id(), NOTIFY_USER, ann.user_id, unknown)])
    await house.make_api_key(ann)
    await house.mails(ann, "An API key")
    assert len(house.mailbox.texts(ann.email)) <= 2  # the code of the registration, and the key
