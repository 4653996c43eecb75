"""The operations on fakes."""

import pytest

from tests.services.identity.house import House


@pytest.fixture
async def house() -> House:
    """The operations with fakes; each test has its own."""
    house = House()
    await house.keys.refresh()
    return house
