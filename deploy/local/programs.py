"""The machine's programs that no Python package brings: `python -m deploy.local.programs stack|test`."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Program:
    """A program and the Debian package that brings it."""

    name: str
    """What is looked for on PATH, or its whole path."""
    package: str


STACK = (
    Program("java", "default-jre-headless"),
    Program("mvn", "maven"),
    Program("/usr/lib/rabbitmq/bin/rabbitmq-server", "rabbitmq-server"),
)
TEST = (*STACK, Program("chromium", "chromium"), Program("node", "nodejs"), Program("npm", "npm"))
_SETS = {"stack": STACK, "test": TEST}


def missing_packages(programs: tuple[Program, ...]) -> list[str]:
    """Return the packages of the programs that are not there."""
    return [program.package for program in programs if shutil.which(program.name) is None]


def install_command(packages: list[str]) -> str:
    """Return what an administrator types to install the packages."""
    return f"apt-get install --yes --no-install-recommends {' '.join(packages)}"


def main(arguments: list[str]) -> int:
    """Install what is missing when we are root and apt-get is there, else name the command; return the exit code."""
    packages = missing_packages(_SETS[arguments[0]])
    if not packages:
        return 0
    command = install_command(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.stderr.write(f"parley: {', '.join(packages)} missing. As root: {command}\n")
        return 1
    sys.stdout.write(f"Installing {', '.join(packages)}\n")
    # RUNLEVEL=1: Debian must not start a service of its own beside ours.
    env: Mapping[str, str] = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for step in ("apt-get update --quiet", command):
        done = subprocess.run(step.split(), env=env, capture_output=True, text=True, check=False)  # noqa: S603 -- fixed words
    if done.returncode:
        sys.stderr.write(f"parley: `{command}` failed: {(done.stderr or done.stdout).strip()[-300:]}\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
