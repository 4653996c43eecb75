"""What keeps Parley from starting is said in one line, with a non-zero exit."""

import socket
from pathlib import Path

import pytest

from deploy.local.errors import LaunchError
from deploy.local.folders import make_folders
from tests.deploy.launched import launched


@pytest.mark.parametrize(
    ("scenario", "line"),
    [
        ("absent", "the absent (absent) cannot run /no/such/program: No such file or directory"),
        ("stillborn", "the stillborn (stillborn) ended with exit code 1: bad heart [log: {home}/logs/stillborn.log]"),
        ("failing_step", "the step (step) ended with exit code 1: schema is broken [log: {home}/logs/step.log]"),
        ("silent", "the silent (silent) was not ready within 1 s [logs: {home}/logs]"),
    ],
)
def test_a_bad_start(tmp_path: Path, scenario: str, line: str) -> None:
    with launched(scenario, tmp_path, start_timeout=1, first_start_timeout=1) as parley:
        assert parley.process.wait(10) == 1
    assert parley.text.splitlines()[-1] == f"parley: {line.format(home=tmp_path)}"


def test_a_busy_edge_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with launched("listener", tmp_path, edge_port=port) as parley:
            assert parley.process.wait(10) == 1
    assert parley.text.startswith(f"parley: port {port} on 127.0.0.1 is busy (held by ")
    assert "PARLEY_EDGE_PORT" in parley.text
    assert len(parley.text.splitlines()) == 1


def test_an_address_of_another_machine(tmp_path: Path) -> None:
    with launched("listener", tmp_path, edge_host="192.0.2.1") as parley:
        assert parley.process.wait(10) == 1
    assert parley.text == "parley: 192.0.2.1 is no address of this machine: set PARLEY_EDGE_HOST\n"


def test_a_second_instance(tmp_path: Path) -> None:
    with launched("listener", tmp_path) as first:
        first.wait_up()
        with launched("listener", tmp_path) as second:
            assert second.process.wait(10) == 1
        assert second.text.splitlines()[-1] == f"parley: Parley already runs in {tmp_path} (pid {first.process.pid})"
        assert first.process.poll() is None


def test_a_wrong_setting(tmp_path: Path) -> None:
    with launched("listener", tmp_path, edge_port="many") as parley:
        assert parley.process.wait(10) == 1
    assert parley.text.startswith("parley: PARLEY_EDGE_PORT: ")


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LaunchError, match=r"cannot write to .*file/home: Not a directory; set PARLEY_HOME"):
        make_folders(tmp_path / "file" / "home")
