"""Fetches Keycloak with Maven and builds it, once for each version and set of build options, into the cache."""

import hashlib
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.step import run_step

RELATIVE_PATH = "/auth"
"""Where Keycloak answers: below this path of the edge. Fixed when it is built."""

_POM = Path(__file__).with_name("pom.xml")
_BUILD_OPTIONS = (
    "--db=postgres",
    f"--http-relative-path={RELATIVE_PATH}",
    "--health-enabled=true",
    "--metrics-enabled=true",
)
# A small serial heap and the first compiler only: 310 MiB instead of 560, and ready 1 to 3 s sooner.
_JAVA_OPTIONS = (
    "-XX:MetaspaceSize=96M -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dfile.encoding=UTF-8 "
    "-XX:+ExitOnOutOfMemoryError"
)


def java_environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for Keycloak's programs: the machine's, without our settings and stray KC_ ones."""
    kept = {name: value for name, value in env.items() if not name.startswith(("PARLEY_", "KC_"))}
    return kept | {"JAVA_OPTS": _JAVA_OPTIONS}


def distribution_key() -> str:
    """Return what the built distribution depends on, as a short text."""
    digest = hashlib.sha256(_POM.read_bytes())
    digest.update("\0".join((*_BUILD_OPTIONS, _JAVA_OPTIONS)).encode())
    return digest.hexdigest()[:16]


def built_home(cache: Path) -> Path:
    """Return where the built Keycloak of this version lies, whether it is there yet or not."""
    return cache / f"keycloak-{distribution_key()}"


async def build_distribution(cache: Path) -> Path:
    """Fetch and build Keycloak unless the cache has it; return its home. Hold the cache's lock.

    Raises:
        LaunchError: Maven or the build failed; with the last line that it wrote.
    """
    home = built_home(cache)
    if home.exists():
        return home
    draft = cache / "keycloak.new"
    shutil.rmtree(draft, ignore_errors=True)
    env = java_environment(os.environ)
    # Its markers say what was unpacked before: beside the draft, they go with it.
    folders = [f"-DoutputDirectory={draft}", f"-DmarkersDirectory={draft / 'markers'}"]
    unpack = ["mvn", "-B", "-q", "-ntp", "-f", str(_POM), "dependency:unpack-dependencies"]
    await run_step([*unpack, *folders], env)
    unpacked = list(draft.glob("keycloak-*"))
    if len(unpacked) != 1:
        raise LaunchError(f"Maven brought no Keycloak into {draft}")
    await run_step([str(unpacked[0] / "bin" / "kc.sh"), "build", *_BUILD_OPTIONS], env)
    # Renamed last: a preparation that is cut short leaves no half a Keycloak.
    unpacked[0].rename(home)
    shutil.rmtree(draft)
    return home
