"""The Makefile, the locks and CI: what a newcomer runs first."""

import os
import re
import subprocess
import tomllib
from collections import Counter

import pytest

from services.registry import CAPABILITIES
from services.settings_listing import settings_classes
from tests.architecture.house import ROOT

_MOST_TARGETS = 16
_LOCKS = {"requirements.lock": ("build",), "requirements-dev.lock": ("build", "dev")}
_PIN = re.compile(
    r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)(?:\s*;[^\\]*)?((?:\s*\\\n\s*--hash=sha256:[0-9a-f]{64})+)$",
    re.MULTILINE,
)


def _targets() -> list[str]:
    return re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = _targets()
    assert len(targets) <= _MOST_TARGETS
    assert set(re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)) == set(targets)
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.findall(r"make ([a-z-]+)", shown) == targets


@pytest.mark.parametrize("target", _targets())
def test_every_target_can_be_planned(target: str) -> None:
    # `make -n` runs the recipes that call make again, so nothing else must be out of date.
    planned = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert planned.returncode == 0, planned.stderr


def test_ci_runs_the_command_of_the_readme() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make test" in script.read_text().splitlines()


def _pins(lock: str) -> dict[str, str]:
    return {_normal(name): version for name, version, _ in _PIN.findall((ROOT / lock).read_text())}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_pin_has_hashes_and_no_host(lock: str) -> None:
    text = (ROOT / lock).read_text()
    rest = _PIN.sub("", text).strip()
    assert rest == "", "only pins with hashes stand in a lock"
    assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text)


@pytest.mark.parametrize("lock", _LOCKS)
def test_the_lock_holds_what_pyproject_asks_for(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for extra in _LOCKS[lock]:
        wanted += project["optional-dependencies"][extra]
    names = {_normal(re.split(r"[\[<>=!~; ]", requirement)[0]) for requirement in wanted}
    assert names - set(_pins(lock)) == set()


def test_tests_run_with_what_users_run() -> None:
    run, dev = _pins("requirements.lock"), _pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in run} == run


def test_every_setting_stands_in_the_operators_guide() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    variables = {
        f"{settings.model_config.get('env_prefix', '')}{name}".upper()
        for settings in settings_classes()
        for name in settings.model_fields
    }
    assert {variable for variable in variables if f"`{variable}`" not in guide} == set()


def test_the_table_of_requirements_counts_its_rows() -> None:
    text = (ROOT / "docs" / "requirements.md").read_text()
    rows = Counter(re.findall(r"^\| (S\d)-\d+ \|.*?\| (done|partial|open) \|", text, re.MULTILINE))
    told = {
        (group, state): int(count)
        for group, *counts in re.findall(r"^\| (S\d) [^|]+\| (\d+) \| (\d+) \| (\d+) \| \d+ \|$", text, re.MULTILINE)
        for state, count in zip(("done", "partial", "open"), counts, strict=True)
        if int(count)
    }
    assert told == dict(rows)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci" / "run").read_text()
    assert "    make test " in readme
    assert [line for line in ci.splitlines() if line and not line.startswith(("#", "set ", "cd "))] == ["make test"]


def test_the_picture_of_the_architecture_has_every_capability() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    picture = page[page.index("```mermaid") :].partition("\n```")[0]
    assert [capability for capability in CAPABILITIES if capability not in picture] == []
