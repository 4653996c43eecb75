"""The settings of identity."""

import pytest
from pydantic import ValidationError

from services.identity.settings import IdentitySettings


def test_the_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_IDENTITY_ACCESS_TOKEN_SECONDS", "60")
    settings = IdentitySettings()
    assert (settings.access_token_seconds, settings.refresh_token_seconds) == (60, 604800)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ACCESS_TOKEN_SECONDS", "0"),
        ("KEY_PUBLISH_AHEAD_SECONDS", "30"),
        ("KEY_PUBLISH_AHEAD_SECONDS", "99999999"),
        ("ADMIN_EMAIL", "nobody"),
        ("ADMIN_USERNAME", "a b c"),
    ],
)
def test_nonsense_is_refused_and_no_secret_is_told(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv("PARLEY_IDENTITY_ADMIN_PASSWORD", "hunter2hunter2")
    monkeypatch.setenv(f"PARLEY_IDENTITY_{name}", value)
    with pytest.raises(ValidationError) as caught:
        IdentitySettings()
    assert "hunter2" not in str(caught.value)
