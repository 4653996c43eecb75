"""Kafka's process: one node, on the loopback only."""

import base64
import secrets
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.kafka.distribution import fetch_libraries, libraries
from deploy.local.errors import LaunchError
from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.probes import kafka_answers
from deploy.local.secrets import secret
from deploy.local.step import run_step

NAMES = ("kafka", "kafka-controller")
"""The ports that it needs."""
USER = "parley"
PASSWORD = "kafka-password"  # noqa: S105 -- the name of its file

# A small serial heap and the first compiler only: 150 MiB, and the first record 2 s after the start.
_JAVA = (
    "java",
    "-Xms64m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dlog4j2.level=WARN",
)
# Each of a topic's 16 partitions keeps at most 24 MiB, for a week: shorter than an inbox remembers what was dealt with.
_SEGMENT_BYTES = 8 * 1024 * 1024
_KEPT_BYTES = 2 * _SEGMENT_BYTES
_KEPT_HOURS = 7 * 24


def kafka_part(folders: Folders, cache: Path, ports: Mapping[str, int], env: Mapping[str, str]) -> Part:
    """Return the part; its data lies in HOME/kafka, its libraries in the cache. `ports` has the NAMES.

    Raises:
        LaunchError: Java or Maven is missing.
    """
    for program, package in (("java", "openjdk-17-jre-headless"), ("mvn", "maven")):
        if shutil.which(program) is None:
            raise LaunchError(f"Kafka needs {program}: install the package {package}")
    data = folders.home / "kafka"
    configuration = data / "kraft.properties"
    env = {name: value for name, value in env.items() if not name.startswith(("PARLEY_", "KAFKA_"))}
    java = (*_JAVA, "-cp", f"{libraries(cache)}/*")

    async def prepare() -> None:
        await fetch_libraries(cache)
        data.mkdir(mode=0o700, exist_ok=True)
        configuration.touch(mode=0o600)
        configuration.write_text(_properties(data / "log", ports, secret(folders.secrets, PASSWORD)))
        if not (data / "log" / "meta.properties").exists():
            form = ("kafka.tools.StorageTool", "format", "-t", _cluster_id(), "-c", str(configuration))
            await run_step([*java, *form], env)

    return Part(
        name="kafka",
        title="Kafka",
        argv=(*java, "kafka.Kafka", str(configuration)),
        env=env,
        address=f"127.0.0.1:{ports['kafka']}",
        prepare=prepare,
        ready=partial(kafka_answers, "127.0.0.1", ports["kafka"]),
        stop_grace=20,
    )


def bare_url(port: int) -> str:
    """Return the URL with the user, without the password."""
    return f"kafka://{USER}@127.0.0.1:{port}"


def url(folders: Folders, port: int) -> str:
    """Return the URL with the password."""
    return f"kafka://{USER}:{secret(folders.secrets, PASSWORD)}@127.0.0.1:{port}"


def _cluster_id() -> str:
    while True:
        made = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not made.startswith("-"):  # it would be read as an option
            return made


def _properties(data: Path, ports: Mapping[str, int], password: str) -> str:
    # Clients, the broker itself and the controller show the same user: whoever else is on this machine stays out.
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    login += f' username="{USER}" password="{password}" user_{USER}="{password}";'
    broker, controller = f"127.0.0.1:{ports['kafka']}", f"127.0.0.1:{ports['kafka-controller']}"
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@{controller}",
        "listeners": f"CLIENTS://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"CLIENTS://{broker}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CLIENTS:SASL_PLAINTEXT,CONTROLLER:SASL_PLAINTEXT",
        "inter.broker.listener.name": "CLIENTS",
        "sasl.enabled.mechanisms": "PLAIN",
        "sasl.mechanism.inter.broker.protocol": "PLAIN",
        "sasl.mechanism.controller.protocol": "PLAIN",
        "listener.name.clients.plain.sasl.jaas.config": login,
        "listener.name.controller.plain.sasl.jaas.config": login,
        "log.dirs": str(data),
        "num.partitions": "1",
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "num.network.threads": "2",
        "num.io.threads": "2",
        "background.threads": "2",
        "log.cleaner.dedupe.buffer.size": "4194304",
        "log.segment.bytes": str(_SEGMENT_BYTES),
        "log.retention.bytes": str(_KEPT_BYTES),
        "log.retention.hours": str(_KEPT_HOURS),
        "log.index.size.max.bytes": "131072",
        "offsets.topic.segment.bytes": str(_SEGMENT_BYTES),
        "transaction.state.log.segment.bytes": str(_SEGMENT_BYTES),
        "metadata.log.segment.bytes": str(_SEGMENT_BYTES),
        "metadata.max.retention.bytes": str(_KEPT_BYTES),
        # After a kill it is back in 4 s instead of 12.
        "broker.session.timeout.ms": "2000",
        "broker.heartbeat.interval.ms": "500",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
