"""What stands beside the adapter, and how each is started: one process per subject, on a core of its own."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil

from tests.benchmarks.rest import envoy

SUBJECT_CORE, LOAD_CORE = 0, 1
GO_GATEWAY_PORT = 8080
_HOST = "127.0.0.1"
_GO_MODULE = "github.com/grpc-ecosystem/grpc-gateway/v2/examples/internal/cmd"
_GO_VERSION = "v2.31.0"
_GO_SERVER, _GO_GATEWAY = "example-grpc-server", "example-gateway-server"
_START_SECONDS = 30.0

PYTHON = {
    "adapter": ("adapter", "product"),
    "adapter, json_format": ("adapter_json_format", "product"),
    "adapter on granian": ("adapter", "granian"),
    "FastAPI by hand": ("fastapi", "uvicorn"),
    "floor on uvicorn": ("floor", "uvicorn"),
    "floor on granian": ("floor", "granian"),
    "floor on hypercorn": ("floor", "hypercorn"),
}
"""Subject -> application of apps.py, server of serve.py."""
GO, ENVOY, BARE = "Go grpc-gateway", "Envoy transcoder", "bare grpc.aio"
ALL = (BARE, GO, ENVOY, *PYTHON)


def build_go(folder: Path) -> str:
    """Build grpc-gateway's example servers into `folder` unless they are there; return why not, or nothing."""
    if all((folder / name).exists() for name in (_GO_SERVER, _GO_GATEWAY)):
        return ""
    if shutil.which("go") is None:
        return "go is not installed"
    environment = os.environ | {"GOBIN": str(folder), "CGO_ENABLED": "0"}
    modules = [f"{_GO_MODULE}/{name}@{_GO_VERSION}" for name in (_GO_SERVER, _GO_GATEWAY)]
    command = ["go", "install", "-trimpath", "-ldflags=-s -w", *modules]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"go install failed: {done.stderr.strip().splitlines()[-1]}"


def has_go(folder: Path) -> bool:
    """Return whether Go's servers are built."""
    return (folder / _GO_GATEWAY).exists()


@contextmanager
def running_upstream(folder: Path, go: Path, descriptor_set: Path) -> Iterator[str]:
    """Run the gRPC server on the core of the load: Go's, else ours. Yields its address."""
    address = f"{_HOST}:{_free_port()}"
    if has_go(go):
        command = [str(go / _GO_SERVER), "-addr", address]
    else:
        command = [sys.executable, "-m", "tests.benchmarks.rest.upstream", str(descriptor_set), address]
    with _running(command, LOAD_CORE, folder / "upstream.log", int(address.rpartition(":")[2])):
        yield address


@contextmanager
def running_subjects(
    names: list[str], folder: Path, go: Path, descriptor_set: Path, upstream: str
) -> Iterator[dict[str, int]]:
    """Run the subjects beside each other; idle ones cost nothing. Yields their ports; who did not start has none."""
    ports: dict[str, int] = {}
    with ExitStack() as stack:
        for name in names:
            port = GO_GATEWAY_PORT if name == GO else _free_port()
            command = _command(name, folder, go, descriptor_set, upstream, port)
            log = folder / f"{name.replace(' ', '-')}.log"
            environment = {"BENCH_DESCRIPTOR_SET": str(descriptor_set), "BENCH_UPSTREAM": upstream}
            try:
                stack.enter_context(_running(command, SUBJECT_CORE, log, port, environment))
            except RuntimeError as error:
                print(f"  {name}: left out, {error}")
            else:
                ports[name] = port
        yield ports


def _command(name: str, folder: Path, go: Path, descriptor_set: Path, upstream: str, port: int) -> list[str]:
    if name == GO:
        return [str(go / _GO_GATEWAY), "-endpoint", upstream]
    if name == ENVOY:
        config = folder / "envoy.json"
        envoy.write_config(config, descriptor_set, port, upstream)
        program = str(Path(sys.executable).with_name("envoy"))
        return [program, "--disable-hot-restart", "--concurrency", "1", "-l", "error", "-c", str(config)]
    return [sys.executable, "-m", "tests.benchmarks.rest.serve", *PYTHON[name], str(port)]


@contextmanager
def _running(
    command: list[str], core: int, log: Path, port: int, environment: dict[str, str] | None = None
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | (environment or {}),
            stdout=output,
            stderr=output,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 - no threads here yet
        )
    family = psutil.Process(process.pid)
    try:
        _wait_for(process, port, log)
        yield
    finally:
        members = [*family.children(recursive=True), family] if process.poll() is None else []
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for member in members:
            if member.is_running():
                member.kill()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex((_HOST, port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"it did not start: {log.read_text()[-300:].strip()!r}")


def _free_port() -> int:
    with socket.socket() as holder:
        holder.bind((_HOST, 0))
        return int(holder.getsockname()[1])
