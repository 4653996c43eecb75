"""`python -m tests.benchmarks.rest`: the REST adapter beside its floors and peers. Nothing is asserted.

The subject runs on one core, the load and the gRPC server on the other. Rounds go over all subjects in turn, so that a
busy moment of the machine hits all of them; each figure is the median of its runs.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks.rest import load, peers, quiet
from tests.benchmarks.rest.echo import compile_echo

_INSIDE = "BENCH_INSIDE"
_RATIOS = {
    "Go grpc-gateway": peers.GO,
    "FastAPI by hand": "FastAPI by hand",
    "floor": "floor on uvicorn",
    "json_format": "adapter, json_format",
    "Envoy": peers.ENVOY,
}
Key = tuple[str, str, int]


def main() -> int:
    """Parse the options, build what is missing and measure in a network namespace of our own."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.rest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run")
    parser.add_argument("--rounds", type=int, default=3, help="runs per figure")
    parser.add_argument("--patience", type=int, default=3, help="how often a run in a busy moment is repeated")
    parser.add_argument("--connections", default="1,32,256")
    parser.add_argument("--methods", default="GET,POST")
    parser.add_argument("--only", default="", help="comma-separated parts of the names of subjects")
    parser.add_argument("--go", type=Path, default=Path("/tmp/parley-bench-go"), help="where Go's servers are built")  # noqa: S108
    options = parser.parse_args()
    options.go.mkdir(parents=True, exist_ok=True)
    if _INSIDE not in os.environ:
        missing = peers.build_go(options.go)
        if missing:
            print(f"{peers.GO}: left out, {missing}")
        elif (code := _inside_namespace()) is not None:
            return code
        else:
            print(f"{peers.GO}: left out, it takes port {peers.GO_GATEWAY_PORT} and no network namespace is to be had")
    measure(options, with_go=_INSIDE in os.environ and peers.has_go(options.go))
    return 0


def measure(options: argparse.Namespace, *, with_go: bool) -> None:
    """Start everything, measure round by round and print the table."""
    wanted = [part.strip() for part in options.only.split(",") if part.strip()]
    names = [name for name in peers.ALL if with_go or name != peers.GO]
    names = [name for name in names if not wanted or any(part in name for part in wanted)]
    kinds = [(method, int(count)) for method in options.methods.split(",") for count in options.connections.split(",")]
    figures: dict[Key, list[load.Figure]] = {}
    print(f"load: {load.generator()}; load average before: {_load_average()}")
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        descriptor_set = compile_echo(folder)
        with (
            peers.running_upstream(folder, options.go, descriptor_set) as upstream,
            peers.running_subjects(
                [name for name in names if name != peers.BARE], folder, options.go, descriptor_set, upstream
            ) as ports,
        ):
            alive = [name for name in names if name in ports or name == peers.BARE]
            for name, port in ports.items():
                asyncio.run(load.check(port))
                load.put_load(port, "GET", 8, 1, folder, peers.LOAD_CORE)
                load.put_load(port, "POST", 8, 1, folder, peers.LOAD_CORE)
                print(f"  warm: {name}", file=sys.stderr)
            for method, connections in kinds:
                for _ in range(options.rounds):
                    for name in alive:

                        def run(name: str = name, kind: tuple[str, int] = (method, connections)) -> load.Figure:
                            if name == peers.BARE:
                                return _bare(descriptor_set, upstream, *kind, options.seconds)
                            return load.put_load(ports[name], *kind, options.seconds, folder, peers.LOAD_CORE)

                        figure = quiet.measured(run, options.patience)
                        figures.setdefault((name, method, connections), []).append(figure)
                _print_kind(method, connections, alive, figures)


def _bare(descriptor_set: Path, upstream: str, method: str, tasks: int, seconds: float) -> load.Figure:
    command = [sys.executable, "-m", "tests.benchmarks.rest.bare", str(descriptor_set), upstream, method]
    done = subprocess.run(
        [*command, str(tasks), str(seconds)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: os.sched_setaffinity(0, {peers.SUBJECT_CORE}),
    )
    rate, median = json.loads(done.stdout)
    return load.Figure(rate, median, 0)


def _print_kind(method: str, connections: int, names: list[str], figures: dict[Key, list[load.Figure]]) -> None:
    def middle(name: str) -> tuple[float, float]:
        runs = figures[name, method, connections]
        return statistics.median(run.rate for run in runs), statistics.median(run.p50 for run in runs)

    print(
        f"\n{method}, {connections} connections (load average {_load_average()}; others: cores busy elsewhere, at most)"
    )
    for name in names:
        runs = figures[name, method, connections]
        rate, p50 = middle(name)
        spread = f"{min(run.rate for run in runs):.0f}-{max(run.rate for run in runs):.0f}"
        errors = sum(run.errors for run in runs)
        foreign = max(run.foreign for run in runs)
        print(
            f"  {name:22s} {rate:8.0f}/s  ({spread:>13s})  p50 {p50:7.3f} ms  others {foreign:.2f}"
            + (f"  ERRORS {errors}" if errors else "")
        )
    if "adapter" not in names:
        return
    own, own_p50 = middle("adapter")
    parts = [f"{own / middle(name)[0]:.2f}x {label}" for label, name in _RATIOS.items() if name in names]
    if peers.BARE in names:
        parts.append(f"p50 {own_p50 - middle(peers.BARE)[1]:+.3f} ms over the bare call")
    print(f"  the adapter is {', '.join(parts)}", flush=True)


def _inside_namespace() -> int | None:
    """Run this again where no other port is taken; return its exit code, or None when that cannot be."""
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return None
    flags = ["--net"] if os.getuid() == 0 else ["--net", "--map-root-user"]
    probe = subprocess.run(["unshare", *flags, "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    if probe.returncode != 0:
        return None
    again = [sys.executable, "-m", "tests.benchmarks.rest", *sys.argv[1:]]
    script = 'ip link set lo up && exec "$@"'
    command = ["unshare", *flags, "sh", "-c", script, "sh", *again]
    return subprocess.run(command, env=os.environ | {_INSIDE: "1"}, check=False).returncode


def _load_average() -> str:
    return f"{os.getloadavg()[0]:.2f}"


if __name__ == "__main__":
    sys.exit(main())
