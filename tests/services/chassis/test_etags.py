"""Nobody overwrites what they have not read."""

import pytest

from services.chassis.errors import EtagOutdated
from services.chassis.etags import check_etag, etag_of


class EtagMismatch(EtagOutdated):
    """As a service has it."""

    domain = "tests.parley"


def test_an_etag_of_another_revision_is_refused() -> None:
    check_etag(1, "", EtagMismatch)
    check_etag(1, etag_of(1), EtagMismatch)
    for etag in ('"2"', "1"):
        with pytest.raises(EtagMismatch, match='it is "1" now'):
            check_etag(1, etag, EtagMismatch)
