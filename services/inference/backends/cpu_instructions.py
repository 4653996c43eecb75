"""Whether this machine's CPU can run the local model."""

import platform
from pathlib import Path

_NEEDED = {
    # What the wheel xllamacpp is compiled for; a CPU without them would kill the process with SIGILL.
    "x86_64": ("avx2", "fma", "f16c", "bmi2"),
}


def missing_instructions(cpuinfo: str, machine: str) -> tuple[str, ...]:
    """Return the instruction sets that the local model needs and the CPU lacks, in capitals.

    `cpuinfo` is the text of /proc/cpuinfo, `machine` what platform.machine() says. Unknown CPUs lack nothing.
    """
    flags = next((line.split(":", 1)[1].split() for line in cpuinfo.splitlines() if line.startswith("flags")), None)
    if flags is None:
        return ()
    return tuple(name.upper() for name in _NEEDED.get(machine, ()) if name not in flags)


def missing_here() -> tuple[str, ...]:
    """Return what this machine's CPU lacks."""
    path = Path("/proc/cpuinfo")
    return missing_instructions(path.read_text() if path.exists() else "", platform.machine())
