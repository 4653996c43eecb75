"""The launcher over small real processes: order, restarts, ends."""

import os
import signal
import time
from pathlib import Path

import psutil

from tests.deploy.launched import is_gone, launched
from tests.support.polling import until


def test_a_killed_part_is_started_again_and_it_says_so(tmp_path: Path) -> None:
    with launched("listener", tmp_path) as parley:
        parley.wait_up()
        first = parley.pid("listener")
        address = parley.parts["listener"]["address"]
        os.kill(first, signal.SIGKILL)
        parley.wait_for("the listener (listener) was killed by SIGKILL [log: ")
        parley.wait_for("the listener (listener) started again, pid")
        until(lambda: parley.pid("listener") != first, seconds=5, what="the new pid")
        again = parley.parts["listener"]
        assert (again["restarts"], again["address"]) == (1, address)
        assert psutil.Process(again["pid"]).is_running()
        assert parley.end() == 0
        assert "Parley has stopped." in parley.text
        assert is_gone(again["pid"])


def test_parts_stop_in_reverse(tmp_path: Path) -> None:
    with launched("noting", tmp_path) as parley:
        parley.wait_up()
        assert parley.end(signal.SIGTERM) == 0
    assert (tmp_path / "stopped").read_text().split() == ["third", "second", "first"]


def test_a_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    with launched("stubborn", tmp_path) as parley:
        parley.wait_up()
        pid = parley.pid("stubborn")
        parley.process.send_signal(signal.SIGINT)
        parley.wait_for("stopping the stubborn")
        parley.end()
        assert is_gone(pid)


def test_it_gives_up_on_a_part_that_dies_again_and_again(tmp_path: Path) -> None:
    with launched("mortal", tmp_path) as parley:
        assert parley.process.wait(20) == 1
    last = parley.text.splitlines()[-1]
    assert last.startswith("parley: gave up after 6 deaths: the mortal (mortal) ended with exit code 1")
    assert "no strength left" in last
    assert str(tmp_path / "logs" / "mortal.log") in last


def test_it_never_gives_up_on_a_part_that_was_healthy(tmp_path: Path) -> None:
    with launched("frail", tmp_path) as parley:
        parley.wait_up()
        (tmp_path / "doomed").touch()
        until(lambda: parley.text.count("started again, pid") >= 10, seconds=60, what="ten restarts")
        assert parley.text.count("starting it again in 0.4 s") >= 5
        (tmp_path / "doomed").unlink()
        until(lambda: lived(parley.pid("frail")) > 4, seconds=30, what="a part that lives")
        # Long enough: the pauses begin anew.
        os.kill(parley.pid("frail"), signal.SIGKILL)
        parley.wait_for("was killed by SIGKILL")
        parley.wait_for("starting it again in 0.05 s", seconds=5)
        assert parley.text.rpartition("starting it again in ")[2].startswith("0.05 s")
        assert parley.end() == 0


def lived(pid: int) -> float:
    """Return for how many seconds a process has lived; 0 when it has not."""
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else time.time() - process.create_time()
    except psutil.NoSuchProcess:
        return 0.0


def test_no_orphan_outlives_a_killed_supervisor(tmp_path: Path) -> None:
    with launched("listener", tmp_path) as parley:
        parley.wait_up()
        pids = [part["pid"] for part in parley.parts.values()]
        parley.process.kill()
        parley.process.wait()
        for pid in pids:
            until(lambda pid=pid: is_gone(pid), seconds=5, what="the end of an orphan")  # type: ignore[misc]


def test_parts_are_out_of_reach_of_the_terminals_interrupt(tmp_path: Path) -> None:
    with launched("listener", tmp_path) as parley:
        parley.wait_up()
        for part in parley.parts.values():
            assert os.getsid(part["pid"]) == part["pid"]


def test_ports_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    addresses = []
    for _ in range(2):
        (tmp_path / "terminal").unlink(missing_ok=True)
        with launched("listener", tmp_path) as parley:
            parley.wait_up()
            addresses.append(parley.parts["listener"]["address"])
    assert addresses[0] == addresses[1]
    assert int(addresses[0].rpartition(":")[2]) < 32_768


def test_an_interrupt_during_the_start_stops_what_runs(tmp_path: Path) -> None:
    with launched("silent", tmp_path) as parley:
        parley.wait_for("… the silent")
        until((tmp_path / "run" / "state.json").exists, seconds=5, what="the part")
        pid = parley.pid("silent")
        assert parley.end() == 0
        assert is_gone(pid)
        assert parley.parts == {}
