"""Every service has the same files, is registered, and says why its calls fail."""

import inspect
import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from string import Formatter

import pytest

from services.chassis.errors import ServiceError
from services.registry import CAPABILITIES
from services.settings_listing import SETTINGS, settings_classes
from tests.architecture.house import ROOT, SERVICES, capability_folders, contract, files, import_generated_code

_FILES = ("README.md", "errors.py", "operations.py", "ports.py", "rules.py", "servicer.py", "settings.py", "wiring.py")
_PREFIX = "ERROR_REASON_"
# A failure of the start, not of an RPC, says so in its class.
_NO_CLIENT = "no client sees this"


def _is_package(file: Path) -> bool:
    return (file.with_suffix("") / "__init__.py").is_file()


def test_every_folder_is_in_the_registry() -> None:
    assert capability_folders() == sorted(CAPABILITIES)
    assert list(CAPABILITIES) == sorted(CAPABILITIES), "the registry is sorted"
    assert all(place == f"services.{name}.wiring" for name, place in CAPABILITIES.items())


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_a_service_has_the_files_that_all_have(capability: str) -> None:
    folder = SERVICES / capability
    # What outgrows its file becomes a folder of the same name.
    missing = [name for name in _FILES if not (folder / name).is_file() and not _is_package(folder / name)]
    assert missing == []
    assert (ROOT / "protos" / "parley" / capability / "v1" / "error_reason.proto").is_file()


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_overview_names_the_service(capability: str) -> None:
    overview = (SERVICES / "README.md").read_text()
    assert f"]({capability}/README.md)" in overview
    assert f"`parley.{capability}.v1`" in overview
    assert f"`PARLEY_{capability.upper()}_`" in overview


def test_the_import_contracts_know_every_service() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    contracts = {one["id"]: one for one in configuration["contracts"]}
    services = [f"services.{name}" for name in CAPABILITIES]
    assert contracts["independence"]["modules"] == services
    assert contracts["layers"]["containers"] == services
    assert contracts["services"]["source_modules"] == services
    for name in ("chassis", "adapters"):
        assert set(services) <= set(contracts[name]["forbidden_modules"])


def _failures(capability: str) -> dict[str, type[ServiceError]]:
    module = import_module(f"services.{capability}.errors")
    return {
        value.reason: value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, ServiceError)
        and hasattr(value, "reason")
        and value.__module__ == module.__name__
        and _NO_CLIENT not in (value.__doc__ or "")
    }


def _reasons(capability: str) -> dict[str, str]:
    import_generated_code()
    reasons = contract().pool.FindEnumTypeByName(f"parley.{capability}.v1.ErrorReason").values
    comments = contract().comments
    return {
        value.name.removeprefix(_PREFIX): comments[f"parley.{capability}.v1.ErrorReason.{value.name}"]
        for value in reasons
        if value.number
    }


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_the_contract_explains_every_failure(capability: str) -> None:
    failures, reasons = _failures(capability), _reasons(capability)
    assert sorted(failures) == sorted(reasons)
    for reason, comment in reasons.items():
        failure = failures[reason]
        assert failure.domain == f"{capability}.parley"
        assert comment.strip().startswith(f"{failure.kind.name}: "), f"{reason} is {failure.kind.name}"
        match = re.search(r"Sample: (\{.*\})", comment)
        assert match, f"{reason} has no sample"
        sample = json.loads(match[1])
        assert (sample["reason"], sample["domain"]) == (reason, failure.domain)
        named = {name for _, name, _, _ in Formatter().parse(failure.template) if name}
        assert named <= set(sample["metadata"]), f"the sample of {reason} lacks what its text is made of"


def test_every_setting_is_listed_and_explained() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in files()
        if path.name == "settings.py"
        and path.relative_to(ROOT).parts[0] in ("services", "adapters", "deploy")
        and "BaseSettings" in path.read_text()
    }
    assert set(SETTINGS) == modules
    assert list(SETTINGS) == sorted(SETTINGS)
    unexplained = [
        f"{settings.__name__}.{name}"
        for settings in settings_classes()
        for name, field in settings.model_fields.items()
        if not field.description
    ]
    assert unexplained == []


def test_every_settings_class_is_frozen_and_has_its_own_prefix() -> None:
    classes = settings_classes()
    assert all(settings.model_config.get("frozen") for settings in classes)
    prefixes = {settings.model_config.get("env_prefix", "") for settings in classes}
    for capability in CAPABILITIES:
        assert f"PARLEY_{capability.upper()}_" in prefixes
