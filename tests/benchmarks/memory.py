"""What everything that `make run` starts keeps in memory."""

import psutil


def resident(launcher: int) -> dict[str, float]:
    """Return the proportional set size of every process below `launcher` in MiB, by the name it shows.

    Shared pages are counted once over all processes (PSS), so that the sum is what the machine gives.
    """
    root = psutil.Process(launcher)
    sizes: dict[str, float] = {}
    for process in [root, *root.children(recursive=True)]:
        title = " ".join(process.cmdline()) or process.name()
        name = title if title.startswith("parley:") else process.name()
        sizes[name] = sizes.get(name, 0.0) + process.memory_full_info().pss / 2**20
    return sizes
