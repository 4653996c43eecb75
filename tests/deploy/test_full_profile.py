"""What the profile full asks of the machine and of the settings; nothing is started."""

from pathlib import Path

import pytest

from deploy.keycloak.settings import KeycloakSettings
from deploy.local import full_profile, programs
from deploy.local.errors import LaunchError
from deploy.local.folders import Folders, make_folders
from deploy.local.full_profile import FULL_NAMES, FullProfile
from deploy.local.plan import whole_house
from deploy.local.programs import STACK, TEST, Program, install_command, missing_packages
from deploy.local.settings import LocalSettings


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folders:
    """An empty HOME with no .env about."""
    monkeypatch.chdir(tmp_path)
    return make_folders(tmp_path / "home")


def test_this_machine_has_what_the_tests_need() -> None:
    assert missing_packages(TEST) == []
    assert programs.main(["test"]) == 0


def test_what_is_missing_is_named_with_the_command_that_installs_it(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = (*STACK, Program("no-such-program", "no-such-package"))
    assert missing_packages(wanted) == ["no-such-package"]
    monkeypatch.setattr(full_profile, "STACK", wanted)
    with pytest.raises(LaunchError) as refused:
        FullProfile(LocalSettings(profile="full"), folders, dict.fromkeys(FULL_NAMES, 1))
    assert str(refused.value).endswith(install_command(["no-such-package"]))


def test_the_profiles_keep_their_data_apart() -> None:
    assert LocalSettings().home == Path(".parley")
    assert LocalSettings(profile="full").home == Path(".parley-full")
    assert LocalSettings(profile="full", home=Path("mine")).home == Path("mine")


def test_keycloak_is_the_issuer_for_every_part(folders: Folders) -> None:
    settings = LocalSettings(profile="full", edge_port=18_080, cache=folders.home)
    plan = whole_house(settings, folders)
    parts = {part.name: part for stage in plan.stages for part in stage}
    issuer = "http://127.0.0.1:18080/auth/realms/parley"
    for name in ("services", "rest", "worker", "sync"):
        assert parts[name].env["PARLEY_ISSUER"] == issuer
    assert parts["services"].env["PARLEY_IDENTITY_DIRECTORY"] == "keycloak"
    assert parts["services"].env["PARLEY_SERVICE_TOKEN_URL"].startswith(parts["services"].env["PARLEY_KEYCLOAK_URL"])
    # Only the step that keeps the realm may administer it, and Keycloak knows none of our settings.
    assert parts["sync"].env["PARLEY_VAULT_ROLE"] == "keycloak"
    assert parts["services"].env["PARLEY_VAULT_ROLE"] == "services"
    assert not [name for name in parts["keycloak"].env if name.startswith("PARLEY_")]
    assert plan.preparation is not None, "an empty cache is to be filled"


def test_no_part_is_started_with_a_secret(folders: Folders) -> None:
    plan = whole_house(LocalSettings(profile="full", cache=folders.home), folders)
    assert sum(1 for line in plan.notes if "password " in line) == 3  # which makes all that the notes show
    secrets = {path.read_text() for path in folders.secrets.iterdir() if path.is_file()}
    assert len(secrets) >= 5
    for part in (part for stage in plan.stages for part in stage):
        shown = "\n".join([*part.argv, *part.env.values()])
        assert not [secret for secret in secrets if secret in shown], part.name
        assert "PARLEY_SECRET" not in part.env
    steps = {part.name: number for number, stage in enumerate(plan.stages) for part in stage}
    assert steps["vault-setup"] < steps["vault-logins"] < min(steps["migrate"], steps["sync"]) < steps["services"]


@pytest.mark.parametrize(("environment", "shown"), [("development", True), ("production", False)])
def test_passwords_of_consoles_are_shown_in_development_only(folders: Folders, environment: str, shown: bool) -> None:
    settings = LocalSettings(profile="full", environment=environment, cache=folders.home)  # type: ignore[arg-type]
    notes = "\n".join(whole_house(settings, folders).notes)
    for name in ("keycloak-console-password", "rabbitmq-password"):
        password = (folders.secrets / name).read_text() if (folders.secrets / name).exists() else "unmade"
        assert (password in notes) is shown
        assert (str(folders.secrets / name) in notes) is not shown


def test_no_secret_stands_in_the_realm_file() -> None:
    text = Path(full_profile.__file__).parents[1].joinpath("keycloak", "parley-realm.json").read_text()
    assert '"secret"' not in text
    assert KeycloakSettings().api_secret.get_secret_value() == ""
