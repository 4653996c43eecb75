"""What was done to a house and what it answered: one JSON object a line. `checker` judges it afterwards."""

import json
import time
from pathlib import Path
from typing import Any

Entry = dict[str, Any]


class History:
    """Appends to a file of JSON lines; each entry is on the disk before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", buffering=1)
        self.path = path

    def write(self, kind: str, **fields: object) -> None:
        """Append an entry with the time."""
        self._file.write(json.dumps({"t": round(time.time(), 3), "kind": kind, **fields}) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> list[Entry]:
    """Return the entries of a history."""
    return [json.loads(line) for line in path.read_text().splitlines()]
