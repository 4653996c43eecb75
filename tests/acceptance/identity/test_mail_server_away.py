"""A notice waits for the mail server. No other house is up meanwhile: its relay would take what this one stores."""

import asyncio

import pytest
from aiosmtpd.controller import Controller
from parley.identity.v1 import auth_service_pb2 as auth_pb
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.events.topics import NOTIFY_USER
from tests.acceptance.identity.event_house import PASSWORD, event_house
from tests.acceptance.identity.test_mailers import Inbox
from tests.support.stores import free_port


async def test_a_mail_server_that_is_away_gets_the_mail_when_it_is_back(
    database: Database,
    postgres_url: str,
    valkey: Redis,
    valkey_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    port, inbox = free_port(), Inbox()
    smtp = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(port), "SMTP_SECURITY": "none"}
    home = tmp_path_factory.mktemp("home")
    # Another Valkey database: workers of other tests take what is in theirs.
    async with event_house(database, postgres_url, valkey, f"{valkey_url[:-1]}7", home, "", **smtp) as house:
        ann = await house.register()
        request = auth_pb.ChangePasswordRequest(current_password=PASSWORD, password="another horse battery")
        await house.auth.ChangePassword(request, metadata=ann.metadata)
        await house.event(NOTIFY_USER, user_id=ann.user_id)
        async with asyncio.timeout(120):
            while "Failed to process message" not in (home / "worker.log").read_text():
                await asyncio.sleep(0.1)
        server = Controller(inbox, hostname="127.0.0.1", port=port)
        server.start()
        try:
            async with asyncio.timeout(120):
                while not [mail for mail in inbox.taken if "password was changed" in str(mail["Subject"])]:
                    await asyncio.sleep(0.1)
        finally:
            server.stop()
