"""What the architecture tests look at: the files of the repository and the contract."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from google.api import annotations_pb2
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from parley.access.v1 import access_pb2

from adapters.rest.descriptors import DescriptorSet, load_descriptor_set

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "services"
DESCRIPTORS = ROOT / "gen" / "parley" / "descriptors.binpb"


@cache
def files() -> tuple[Path, ...]:
    """Return every file that belongs to the repository, those not yet committed included."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return tuple(sorted({path for name in listed.split("\0") if name and (path := ROOT / name).is_file()}))


def python_files() -> list[Path]:
    """Return the Python that people write."""
    return [path for path in files() if path.suffix == ".py" and path.relative_to(ROOT).parts[0] != "gen"]


def capability_folders() -> list[str]:
    """Return the names of the folders of services/ but for the chassis."""
    found = {path.relative_to(SERVICES).parts[0] for path in files() if path.parent != SERVICES and _is_service(path)}
    return sorted(found - {"chassis"})


def _is_service(path: Path) -> bool:
    return path.is_relative_to(SERVICES)


@dataclass(frozen=True)
class Rpc:
    """One RPC of the contract."""

    method: MethodDescriptor
    comment: str

    @property
    def name(self) -> str:
        """Its full name, for messages."""
        return str(self.method.full_name)

    @property
    def capability(self) -> str:
        """The capability it belongs to."""
        return self.name.split(".")[1]

    @property
    def level(self) -> int:
        """Its access level, a parley.access.v1.Level."""
        return int(self.method.GetOptions().Extensions[access_pb2.access].level)

    @property
    def routes(self) -> list[str]:
        """Its REST templates."""
        rule = self.method.GetOptions().Extensions[annotations_pb2.http]
        rules = [rule, *rule.additional_bindings]
        return [getattr(one, kind) for one in rules if (kind := one.WhichOneof("pattern"))]


@cache
def contract() -> DescriptorSet:
    """Return the generated descriptor set."""
    return load_descriptor_set(DESCRIPTORS.read_bytes())


@cache
def rpcs() -> tuple[Rpc, ...]:
    """Return every RPC of the contract. Its generated code is imported on the way."""
    import_generated_code()
    pool = descriptor_pool.Default()
    return tuple(
        Rpc(pool.FindMethodByName(method.full_name), contract().comments.get(method.full_name, ""))
        for method in contract().methods()
    )


def import_generated_code() -> None:
    """Import every generated module, so that the default pool knows the whole contract."""
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        if file.package.startswith("parley."):
            import_module(file.name.removesuffix(".proto").replace("/", ".") + "_pb2")


def fields_below(message: Descriptor, prefix: str = "") -> Iterator[tuple[str, FieldDescriptor]]:
    """Yield every field of a request and of what it holds, with its path; Google's own messages are taken as one."""
    for field in message.fields:
        yield prefix + field.name, field
        inner = field.message_type
        # The limits of a map stand on the map, and hold for its keys and values.
        if inner is not None and not inner.full_name.startswith("google.") and not inner.GetOptions().map_entry:
            yield from fields_below(inner, f"{prefix}{field.name}.")
