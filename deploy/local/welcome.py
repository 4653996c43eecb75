"""The text below the table: where to look, and a first conversation to copy and paste."""

import sys
from collections.abc import Sequence
from pathlib import Path

from deploy.local.folders import Folders

_CONVERSATION = """\
A first conversation (copy, paste):

  EDGE={edge}
  field() {{ python3 -c "import json,sys; print(json.load(sys.stdin)$1)"; }}
  curl -s $EDGE/api/v1/auth/register -H 'Content-Type: application/json' \\
    -d '{{"email":"ada@example.org","username":"ada","password":"correct horse battery","displayName":"Ada"}}'; echo
  TOKEN=$(curl -s $EDGE/api/v1/auth/login -H 'Content-Type: application/json' \\
    -d '{{"login":"ada","password":"correct horse battery"}}' | field "['accessToken']")
  CONVERSATION=$(curl -s $EDGE/api/v1/chat/conversations -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{}}' | field "['id']")
  RUN=$(curl -s $EDGE/api/v1/chat/conversations/$CONVERSATION/messages -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"text":"Hello! What is a mesh?"}}' | field "['run']['id']")
  curl -N -H 'Accept: text/event-stream' -H "Authorization: Bearer $TOKEN" \\
    "$EDGE/api/v1/chat/conversations/$CONVERSATION/runs/$RUN:stream"
"""


def welcome(edge_url: str, folders: Folders, notes: Sequence[str] = ()) -> str:
    """Return the URLs, the notes, the first conversation, and a hint when no better model was fetched."""
    lines = [
        f"Edge  {edge_url}",
        f"Docs  {edge_url}/api/docs",
        f"Logs  {folders.logs}",
        *notes,
        "",
        _CONVERSATION.format(edge=edge_url),
    ]
    if not any(folders.models.glob("*.gguf")):
        # As it was called: from a clone that is .venv/bin/parley.
        command = sys.argv[0] if Path(sys.argv[0]).name == "parley" else "parley"
        lines.append(f"The answers come from a very small model; `{command} models fetch` brings a better one.\n")
    return "\n".join([*lines, "Ctrl-C stops everything."])
