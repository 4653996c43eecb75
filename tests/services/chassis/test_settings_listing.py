"""`parley settings` tells every setting and no secret."""

from pathlib import Path

import pytest

from services.settings_listing import print_settings, settings_classes


def test_secrets_are_hidden_and_everything_else_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    secrets = {
        "PARLEY_SECRET": "0123456789abcdef0123456789abcdef",
        "PARLEY_DATABASE_URL": "postgresql+asyncpg://parley:hush@db/parley",
        "PARLEY_VALKEY_URL": "redis://:hush@valkey/0",
        "PARLEY_INFERENCE_OPENAI_API_KEY": "sk-hush",
        "PARLEY_IDENTITY_ADMIN_PASSWORD": "hush-hush-hush",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PARLEY_LOG_LEVEL", "warning")
    monkeypatch.setenv(
        "PARLEY_TOOLS_MCP_COMMANDS", '{"search": ["search-server", "--token", "hush"], "sums": ["sums"]}'
    )
    monkeypatch.setenv("PARLEY_INFERENCE_OPENAI_BASE_URL", "https://user:hush@models.example/v1")
    assert print_settings() == 0
    shown = capsys.readouterr().out
    assert not [value for value in secrets.values() if value in shown]
    assert "hush" not in shown
    for name in secrets:
        assert f"{name}=(hidden)  # environment. " in shown
    assert "PARLEY_TOOLS_MCP_COMMANDS=['search', 'sums']  # environment. " in shown
    assert "PARLEY_INFERENCE_OPENAI_BASE_URL=https://(hidden)@models.example/v1  # environment. " in shown
    assert "PARLEY_LOG_LEVEL=warning  # environment. How much is logged." in shown
    assert "PARLEY_AUDIENCE=parley  # default or .env. " in shown


def test_every_setting_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    print_settings()
    lines = capsys.readouterr().out.splitlines()
    assert sum("=" in line for line in lines) == sum(len(settings.model_fields) for settings in settings_classes())
