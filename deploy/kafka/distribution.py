"""Fetches Kafka with Maven, once for each version, into the cache."""

import hashlib
import os
import shutil
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.step import run_step

_POM = Path(__file__).with_name("pom.xml")


def libraries(cache: Path) -> Path:
    """Return where the libraries of this version lie, whether they are there yet or not."""
    return cache / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}"


async def fetch_libraries(cache: Path) -> Path:
    """Fetch Kafka unless the cache has it; return the folder of its libraries.

    Raises:
        LaunchError: Maven failed; with the last line that it wrote.
    """
    home = libraries(cache)
    if home.exists():
        return home
    draft = cache / f"kafka.new-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    fetch = ["mvn", "-B", "-q", "-ntp", "-f", str(_POM), "dependency:copy-dependencies"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    await run_step([*fetch, f"-DoutputDirectory={draft}", "-DincludeScope=runtime"], env)
    if not any(draft.glob("kafka_*.jar")):
        raise LaunchError(f"Maven brought no Kafka into {draft}")
    # Renamed last: a fetch that is cut short leaves no half a Kafka, and of two at once one wins.
    try:
        draft.rename(home)
    except OSError:
        shutil.rmtree(draft)
    return home
