"""The command `parley`. Each command imports what it needs only when it runs."""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from adapters.rest.arguments import add_arguments, given
from services.operations.commands.arguments import add_commands


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    parser = argparse.ArgumentParser(prog="parley", description="A conversational backend.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start everything on this machine, in the foreground")
    up.add_argument("--profile", choices=["light", "full"], help="full: Keycloak, RabbitMQ, Kafka, OpenBao too")
    up.set_defaults(run=_up)
    serve = commands.add_parser("serve", help="serve capabilities over gRPC (all of them when none is named)")
    serve.add_argument("capabilities", nargs="*")
    serve.set_defaults(run=_serve)
    work = commands.add_parser("work", help="run the background jobs of capabilities (all when none is named)")
    work.add_argument("capabilities", nargs="*")
    work.set_defaults(run=_work)
    rest = commands.add_parser("rest", help="serve gRPC services over REST, Parley's own or any others")
    add_arguments(rest)
    rest.set_defaults(run=_rest)
    commands.add_parser("websocket", help="serve the WebSocket adapter").set_defaults(run=_websocket)
    migrate = commands.add_parser("migrate", help="bring the database schemas to their newest revision")
    migrate.add_argument("capabilities", nargs="*")
    migrate.set_defaults(run=_migrate)
    models = commands.add_parser("models", help="list the local models, or fetch the weights of one")
    models.add_argument("action", choices=["list", "fetch"])
    models.add_argument("model", nargs="?", default="", help="the model to fetch; the recommended one when left out")
    models.set_defaults(run=_models)
    identity = commands.add_parser(
        "identity", help="bring Keycloak's realm to what is written down, or rotate its keys"
    )
    identity.add_argument("action", choices=["sync", "rotate-keys"])
    identity.add_argument("--wait", type=float, default=150, help="rotate-keys: seconds before the new key signs")
    identity.add_argument("--check", action="store_true", help="only tell the drift; exit code 1 when there is some")
    identity.set_defaults(run=_identity)
    add_commands(commands)
    certificates = commands.add_parser(
        "certificates", help="keep the certificates of the mesh fresh, in the foreground"
    )
    certificates.add_argument("folder", help="each identity's certificate lies in a folder of its name below")
    certificates.add_argument("identities", nargs="+", help="such as envoy, rest, services, websocket, worker")
    certificates.set_defaults(run=_certificates)
    encryption = commands.add_parser("encryption", help="change the keys that encrypt private texts")
    encryption.add_argument("action", choices=["rotate", "rewrap"], help="a new key; or encrypt with it what older did")
    encryption.set_defaults(run=_encryption)
    commands.add_parser("settings", help="print every setting, its value and its meaning").set_defaults(run=_settings)
    options = parser.parse_args(arguments)
    code: int = options.run(options)
    return code


def _up(options: argparse.Namespace) -> int:
    from deploy.local.up import main as up

    if options.profile:
        os.environ["PARLEY_PROFILE"] = options.profile
    return up()


def _identity(options: argparse.Namespace) -> int:
    from deploy.keycloak.rotation import main as rotate
    from deploy.keycloak.settings import secret_names
    from deploy.keycloak.sync import main as sync
    from services.chassis import logs
    from services.chassis.errors import ServiceError
    from services.registry import CAPABILITIES
    from services.stored_secrets import stored_secrets

    # What the command tells is its output, to be read by people and by scripts.
    logs.configure("error")
    try:
        found = asyncio.run(stored_secrets(secret_names(list(CAPABILITIES))))
    except ServiceError as error:
        sys.stderr.write(f"parley identity {options.action}: {error}\n")
        return 2
    if options.action == "rotate-keys":
        return rotate(options.wait, found)
    return sync(list(CAPABILITIES), found, check=options.check)


def _rest(options: argparse.Namespace) -> int:
    from adapters.rest.serving import run

    return run(given(options))


def _websocket(_options: argparse.Namespace) -> int:
    from adapters.websocket.serving import run

    return run()


def _models(options: argparse.Namespace) -> int:
    from services.inference.models_command import run

    return run(options.action, options.model)


def _settings(_options: argparse.Namespace) -> int:
    from services.settings_listing import print_settings

    return print_settings()


def _serve(options: argparse.Namespace) -> int:
    from services.processes import serve_capabilities

    return _run_process("services", lambda: serve_capabilities(options.capabilities))


def _work(options: argparse.Namespace) -> int:
    from services.processes import work_capabilities

    return _run_process("worker", lambda: work_capabilities(options.capabilities))


def _migrate(options: argparse.Namespace) -> int:
    from services.processes import migrate_capabilities

    return _run_process("migrate", lambda: migrate_capabilities(options.capabilities))


def _certificates(options: argparse.Namespace) -> int:
    from services.chassis.certificate_agent import keep_certificates

    return _run_process("certificates", lambda: keep_certificates(options.folder, options.identities))


def _encryption(options: argparse.Namespace) -> int:
    from services.processes import change_encryption

    return _run_process("encryption", lambda: change_encryption(options.action))


def _run_process(title: str, run: Callable[[], Coroutine[Any, Any, None]]) -> int:
    import uvloop
    from pydantic import ValidationError
    from setproctitle import setproctitle

    from services.processes import EXPECTED
    from services.settings_listing import complaint

    setproctitle(f"parley: {title}")
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except EXPECTED as error:
        # An operator's mistake is one clear line, not a traceback.
        text = complaint(error) if isinstance(error, ValidationError) else error
        sys.stderr.write(f"parley {title}: {text}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
