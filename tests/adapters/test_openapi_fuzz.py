"""schemathesis against the adapter in front of the spy: no 5xx, and no status that the document does not name."""

import asyncio
import json
import sys
from pathlib import Path

import httpx

from tests.adapters.test_contract import Json, Spy, document, spied

__all__ = ["document", "spied"]

_EXAMPLES = 5
_CONFIG = """
warnings = false
[checks]
enabled = false
not_a_server_error.enabled = true
status_code_conformance.enabled = true
content_type_conformance.enabled = true
response_headers_conformance.enabled = true
"""


async def test_no_request_finds_a_bug_or_an_undocumented_status(
    spied: tuple[Spy, httpx.AsyncClient], document: Json, tmp_path: Path
) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            del operation["responses"]["default"]
    strict, config = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    strict.write_text(json.dumps(document))
    config.write_text(_CONFIG)
    spied[0].seen.clear()
    process = await asyncio.create_subprocess_exec(
        *(str(Path(sys.executable).with_name("schemathesis")), f"--config-file={config}", "run", str(strict)),
        *(f"--url={spied[1].base_url}", "--phases=fuzzing", f"--max-examples={_EXAMPLES}", "--seed=1"),
        *("--generation-database=none", "--suppress-health-check=all", "--no-shrink", "--no-color"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-4000:]
    assert len(spied[0].seen) > 50
