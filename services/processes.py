"""What the processes of the house do: serve, work, migrate."""

from pydantic import ValidationError
from sqlalchemy.exc import OperationalError

from services.chassis import logs
from services.chassis.certificates import CertificateMissing
from services.chassis.custody import VaultRefused
from services.chassis.database import DatabaseRefused
from services.chassis.errors import ServiceError
from services.chassis.events.opening import UnknownBus
from services.chassis.field_encryption import Undecipherable
from services.chassis.jobs import make_broker, run_worker
from services.chassis.method_options import AccessRuleMissing
from services.chassis.metrics import CannotExpose, exposed
from services.chassis.migrations import SchemaNotCurrent, check_current, migrate
from services.chassis.resources import SecretTooShort, ServiceSecretMissing, open_owner, open_resources
from services.chassis.secret_stores.settings import VaultSettings
from services.chassis.serving import CannotListen, serve
from services.chassis.settings import ChassisSettings
from services.registry import UnknownCapability, assemble, chosen

EXPECTED = (
    AccessRuleMissing,
    CannotExpose,
    CannotListen,
    CertificateMissing,
    ConnectionError,
    DatabaseRefused,
    OperationalError,
    SchemaNotCurrent,
    SecretTooShort,
    ServiceError,
    ServiceSecretMissing,
    UnknownBus,
    Undecipherable,
    UnknownCapability,
    ValidationError,
    VaultRefused,
)
"""What an operator can mend: a process ends with the text of these and no traceback."""


async def serve_capabilities(capabilities: list[str]) -> None:
    """Serve capabilities over gRPC until the process is told to stop."""
    settings = _configure()
    names = chosen(capabilities)
    async with open_resources(settings, names[0]) as resources:
        await check_current(resources.database.engine, names)
        await serve(await assemble(names, resources), resources)


async def work_capabilities(capabilities: list[str]) -> None:
    """Run the background jobs of capabilities until the process is told to stop."""
    settings = _configure()
    names = chosen(capabilities)
    async with open_resources(settings, names[0]) as resources:
        await check_current(resources.database.engine, names)
        broker = make_broker(resources.settings.jobs_url, resources.settings.valkey_url)
        modules = await assemble(names, resources)
        for module in modules:
            if module.register_jobs is not None:
                module.register_jobs(broker)
        resources.subscriptions.register(broker)
        async with exposed(settings.metrics_listen):
            await run_worker(broker, settings.worker_threads)
        for module in modules:
            await module.close()


async def migrate_capabilities(capabilities: list[str]) -> None:
    """Bring the schemas of capabilities to their newest revision."""
    settings = _configure()
    names = chosen(capabilities)
    async with open_owner(settings) as database:
        await migrate(database.engine, names)


async def change_encryption(action: str) -> None:
    """`rotate` the key with which fields are encrypted, or `rewrap` what older keys encrypted; prints how far it is."""
    settings = _configure()
    names = chosen([])
    async with open_resources(settings, names[0]) as resources:
        if action == "rotate":
            if VaultSettings().field_keys == "local":
                await resources.custody.field_encryption(names[0]).rotate()  # one file has the keys of all
                print("rotated; now `parley encryption rewrap`")  # noqa: T201 - what the command is for
            else:
                print("an operator of Vault rotates its keys: see docs/security.md")  # noqa: T201 - as above
            return
        for name, module in zip(names, await assemble(names, resources), strict=True):
            if module.rewrap is not None:
                async for done, left in module.rewrap():
                    print(f"{name}: {done} done, {left} left")  # noqa: T201 - as above
            await module.close()


def _configure() -> ChassisSettings:
    settings = ChassisSettings()
    logs.configure(settings.log_level)
    return settings
