"""What the commands of operators take. Imports nothing heavy: it is read at every start of `parley`."""

import argparse
from typing import Any

Subcommands = Any
"""What `add_subparsers` returns; argparse has no public name for it."""

_STATES = ("open", "replayed", "discarded")


def add_commands(commands: Subcommands) -> None:
    """Add `dead-letters` and `schedules` to the commands of `parley`."""
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--edge", metavar="URL", help="the edge, such as http://127.0.0.1:8080; PARLEY_EDGE_URL")
    everywhere.add_argument("--token", help="an administrator's access token; better in PARLEY_TOKEN, which ps hides")
    everywhere.add_argument("--json", action="store_true", help="print JSON, as the REST API has it")
    letters = commands.add_parser(
        "dead-letters", help="look at jobs that failed for good, send them back, discard them"
    )
    _add_letters(letters.add_subparsers(dest="action", required=True, metavar="ACTION"), everywhere)
    letters.set_defaults(run=_dead_letters)
    schedules = commands.add_parser("schedules", help="start background jobs at their times")
    _add_schedules(schedules.add_subparsers(dest="action", required=True, metavar="ACTION"), everywhere)
    schedules.set_defaults(run=_schedules)


def _add_letters(actions: Subcommands, everywhere: argparse.ArgumentParser) -> None:
    chosen = argparse.ArgumentParser(add_help=False)
    chosen.add_argument("--queue", default="", help="only those of this queue")
    chosen.add_argument("--actor", default="", help="only those of this actor")
    chosen.add_argument("--text", default="", help="only those with these words in the error or the payload")
    listing = actions.add_parser("list", parents=[everywhere, chosen], help="list dead letters, the last found first")
    listing.add_argument("--state", choices=_STATES, help="only those in this state")
    listing.add_argument("--limit", type=_positive, default=50, help="how many at most (50)")
    show = actions.add_parser("show", parents=[everywhere], help="show one with its traceback and payload")
    show.add_argument("id")
    replay = actions.add_parser("replay", parents=[everywhere, chosen], help="send some back to their queues")
    replay.add_argument("ids", nargs="*", metavar="id")
    replay.add_argument("--all", action="store_true", help="all open ones that the filters choose")
    replay.add_argument("--rate", type=_positive, default=10, help="with --all: how many a second (10)")
    replay.add_argument("--dry-run", action="store_true", help="with --all: only count them")
    discard = actions.add_parser("discard", parents=[everywhere], help="say that some are not to be done any more")
    discard.add_argument("ids", nargs="+", metavar="id")


def _add_schedules(actions: Subcommands, everywhere: argparse.ArgumentParser) -> None:
    listing = actions.add_parser("list", parents=[everywhere], help="list schedules, the last made first")
    listing.add_argument("--limit", type=_positive, default=50, help="how many at most (50)")
    create = actions.add_parser("create", parents=[everywhere], help="make one")
    create.add_argument("--name", default="", help="what people call it")
    when = create.add_mutually_exclusive_group(required=True)
    when.add_argument("--cron", default="", help="again and again: five fields, such as '0 9 * * MON-FRI'")
    when.add_argument("--once", default="", metavar="TIME", help="once, such as 2027-01-31T12:00:00Z")
    create.add_argument("--time-zone", default="", help="the IANA time zone of --cron (UTC)")
    create.add_argument("--queue", required=True)
    create.add_argument("--actor", default="", help="the actor that is called like the queue when left out")
    create.add_argument("--payload", default="", help="the arguments by name, as a JSON object")
    create.add_argument(
        "--missed", choices=["once", "skip", "all"], default="once", help="what happens to missed times"
    )
    create.add_argument("--catch-up", type=int, default=0, help="with --missed all: for how many at most (100)")
    for action, does in (
        ("show", "show one with its next times and last fires"),
        ("pause", "let one rest"),
        ("resume", "let one go on"),
        ("run", "start the job of one now"),
        ("delete", "delete one"),
    ):
        actions.add_parser(action, parents=[everywhere], help=does).add_argument("id")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _dead_letters(options: argparse.Namespace) -> int:
    from services.operations.commands.dead_letters import run
    from services.operations.commands.edge import at_edge

    return at_edge("dead-letters", options, run)


def _schedules(options: argparse.Namespace) -> int:
    from services.operations.commands.edge import at_edge
    from services.operations.commands.schedules import run

    return at_edge("schedules", options, run)
