"""What would be started, and with which environment; nothing is."""

from pathlib import Path

import pytest

from deploy.local.child import readable
from deploy.local.folders import Folders, make_folders, rotate_log
from deploy.local.plan import Plan, whole_house
from deploy.local.settings import LocalSettings
from deploy.local.welcome import welcome


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """The folders of an empty HOME, with no .env and no PARLEY_* about."""
    monkeypatch.chdir(tmp_path)
    for name in ("PARLEY_HOME", "PARLEY_EDGE_PORT", "PARLEY_ISSUER", "PARLEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return make_folders(tmp_path / "home")


def _environment(plan: Plan, part: str) -> dict[str, str]:
    return next(dict(each.env) for stage in plan.stages for each in stage if each.name == part)


def _names(plan: Plan) -> list[tuple[str, ...]]:
    return [tuple(part.name for part in stage) for stage in plan.stages]


def test_the_whole_house_in_order(folders: Folders) -> None:
    plan = whole_house(LocalSettings(workers=2), folders)
    assert _names(plan) == [
        ("postgres",),
        ("valkey",),
        ("migrate",),
        ("services", "envoy", "rest", "websocket", "worker", "worker-2"),
    ]
    env = _environment(plan, "services")
    assert env["PARLEY_HOME"] == str(folders.home)
    assert env["PARLEY_REST_UPSTREAM"] == env["PARLEY_WEBSOCKET_UPSTREAM"] == env["PARLEY_MESH_TARGET"]
    websocket = next(part for part in plan.stages[-1] if part.name == "websocket")
    assert env["PARLEY_WEBSOCKET_LISTEN"] == websocket.address
    assert env["PARLEY_JWKS_URL"] == f"http://{env['PARLEY_REST_LISTEN']}/.well-known/jwks.json"
    assert len(env["PARLEY_SECRET"]) == 64
    assert env["PARLEY_DATABASE_URL"].startswith("postgresql+asyncpg://parley:")


def test_secrets_and_ports_are_kept(folders: Folders) -> None:
    first, second = (_environment(whole_house(LocalSettings(), folders), "rest") for _ in range(2))
    assert first == second


def test_stores_of_the_callers_own_are_not_started(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_DATABASE_URL", "postgresql+asyncpg://else.where/parley")
    monkeypatch.setenv("PARLEY_VALKEY_URL", "redis://else.where/0")
    plan = whole_house(LocalSettings(), folders)
    assert _names(plan)[0] == ("migrate",)
    assert _environment(plan, "worker")["PARLEY_DATABASE_URL"] == "postgresql+asyncpg://else.where/parley"


def test_what_the_caller_sets_wins(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    (folders.home.parent / ".env").write_text("PARLEY_SECRET=from-the-file\nPARLEY_MESH_TARGET=127.0.0.1:15555\n")
    monkeypatch.setenv("PARLEY_ISSUER", "https://issuer.example")
    plan = whole_house(LocalSettings(), folders)
    env = _environment(plan, "services")
    assert (env["PARLEY_SECRET"], env["PARLEY_ISSUER"]) == ("from-the-file", "https://issuer.example")
    envoy = next(part for part in plan.stages[-1] if part.name == "envoy")
    assert envoy.address.endswith("mesh 127.0.0.1:15555")
    assert not [name for name in envoy.env if name.startswith("PARLEY_")]


def test_each_process_shows_its_figures_on_a_port_of_its_own(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = whole_house(LocalSettings(workers=2), folders)
    listens = {name: _environment(plan, name)["PARLEY_METRICS_LISTEN"] for name in ("services", "worker", "worker-2")}
    assert len(set(listens.values())) == 3
    (note,) = plan.notes
    assert all(f"{name} http://{listen}/metrics" in note for name, listen in listens.items())
    assert "/stats/prometheus" in note
    assert "PARLEY_METRICS_LISTEN" not in _environment(plan, "rest")
    monkeypatch.setenv("PARLEY_METRICS_LISTEN", "")
    assert _environment(whole_house(LocalSettings(), folders), "services")["PARLEY_METRICS_LISTEN"] == ""


def test_the_welcome_hints_at_a_better_model_once(folders: Folders) -> None:
    assert "parley models fetch" in welcome("http://edge", folders)
    folders.models.mkdir()
    (folders.models / "bigger.gguf").touch()
    assert "parley models fetch" not in welcome("http://edge", folders)


def test_logs_are_rotated_by_size(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    for number in range(5):
        log.write_bytes(str(number).encode() * 6_000_000)
        rotate_log(log)
    assert [path.read_bytes()[:1] for path in sorted(tmp_path.iterdir())] == [b"4", b"3", b"2"]
    log.write_text("small")
    rotate_log(log)
    assert log.read_text() == "small"


@pytest.mark.parametrize(
    ("line", "short"),
    [
        ("plain words", "plain words"),
        ('{"event": "cannot listen", "level": "error"}', "cannot listen"),
        ('{"event": "fell", "exception": "Traceback\\n  file\\nKeyError: 1"}', "fell: KeyError: 1"),
        ('["no object"]', '["no object"]'),
        ('{"other": 1}', '{"other": 1}'),
    ],
)
def test_last_words_are_readable(line: str, short: str) -> None:
    assert readable(line) == short
