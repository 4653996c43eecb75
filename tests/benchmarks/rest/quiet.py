"""Says how busy others keep the machine during a run, and repeats runs in busy moments: the cores here are shared."""

import time
from collections.abc import Callable

import psutil

from tests.benchmarks.rest.load import Figure

_QUIET_CORES = 0.15


def measured(run: Callable[[], Figure], patience: int) -> Figure:
    """Run, and again while others are at work, at most `patience` times more; return the quietest run."""
    best = _once(run)
    for _ in range(patience):
        if best.foreign <= _QUIET_CORES:
            break
        best = min(best, _once(run), key=lambda figure: figure.foreign)
    return best


def _once(run: Callable[[], Figure]) -> Figure:
    before, own_before = _busy(), _own()
    started = time.perf_counter()
    figure = run()
    seconds = time.perf_counter() - started
    foreign = (_busy() - before) - (_own() - own_before)
    return figure._replace(foreign=max(0.0, foreign / seconds))


def _busy() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.nice + times.system)


def _own() -> float:
    """The CPU time of this process and of all below it, of those that have ended too."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return float(total)
