"""What runs inside a sandbox's child process: one function, on one input, within limits that the kernel holds.

It imports the standard library only, so that a child starts fast; the function's own module says what else it needs.
"""

import ctypes
import importlib
import json
import os
import resource
import signal
import sys

DONE, REFUSED, OUT_OF_MEMORY = b"+", b"-", b"m"
_PR_SET_PDEATHSIG = 1
_NICE = 5


class Refused(Exception):
    """The input cannot be used; the text says why, for the person who sent it."""


def main(function: str, parent: int, memory_bytes: int, cpu_seconds: int, seconds: float) -> None:
    """Call MODULE:NAME with what is on standard input and write what it returns to standard output.

    The first byte tells how it ended: DONE with the result, REFUSED with the reason, or OUT_OF_MEMORY.
    """
    _die_with(parent, seconds)
    # Computing that somebody asked for must not take the processor from everybody else's requests.
    os.nice(_NICE)
    module, _, name = function.partition(":")
    work = getattr(importlib.import_module(module), name)
    payload = sys.stdin.buffer.read()
    _limit(memory_bytes, cpu_seconds)
    try:
        kind, answer = DONE, work(payload)
    except Refused as refused:
        kind, answer = REFUSED, str(refused).encode(errors="replace")
    except MemoryError:
        kind, answer = OUT_OF_MEMORY, b""
    sys.stdout.buffer.write(kind)
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    # Nothing is to be tidied up, and freeing a large tree takes a while.
    os._exit(0)


def _die_with(parent: int, seconds: float) -> None:
    """End this process when its parent ends, and in any case after some seconds."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Bound memory and computing time, and take away files, sockets and further processes."""
    for what, most in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    # SIGXCPU ends it at the soft limit, SIGKILL at the hard one.
    used = resource.getrusage(resource.RUSAGE_SELF)
    spent = int(used.ru_utime + used.ru_stime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (spent + cpu_seconds, spent + cpu_seconds + 1))


if __name__ == "__main__":
    # argv: the folders to import from, and the arguments of `main`, as JSON.
    sys.path[:] = json.loads(sys.argv[1])
    # By its real name: the functions that it calls raise that module's Refused.
    importlib.import_module("services.chassis.sandbox.child").main(*json.loads(sys.argv[2]))
