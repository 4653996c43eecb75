"""Shows times, states and texts of strangers on a terminal."""

from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rich.table import Table
from rich.text import Text


def plain(text: str) -> Text:
    """Return a text as it is: no markup of ours in it works, and no control sequence reaches the terminal."""
    return Text("".join(one if one.isprintable() or one in "\n\t" else "�" for one in text))


def time_text(message: Any, field: str) -> str:
    """Return a time of a message in the time zone of this machine, `-` when it is not set."""
    stamp: Timestamp = getattr(message, field)
    if not message.HasField(field):
        return "-"
    return f"{stamp.ToDatetime(UTC).astimezone():%Y-%m-%d %H:%M:%S %z}"


def table_of(*columns: str) -> Table:
    """Return an empty table."""
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def fields_of(**fields: str) -> Table:
    """Return a table of names and values."""
    table = Table.grid(padding=(0, 2))
    for name, value in fields.items():
        table.add_row(Text(name.replace("_", " "), style="bold"), plain(value))
    return table
