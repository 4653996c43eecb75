"""Who owns what a caller makes, and whose things serve whom."""

from services.chassis.owners import owner_of, owners_for


def test_the_organisation_owns_what_its_people_make() -> None:
    assert owner_of("ann", "") == "user:ann"
    assert owner_of("ann", "acme") == "organization:acme"


def test_people_are_served_by_what_is_theirs_and_their_organisations() -> None:
    assert set(owners_for("ann", "")) == {"user:ann"}
    assert set(owners_for("ann", "acme")) == {"user:ann", "organization:acme"}
