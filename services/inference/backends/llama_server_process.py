"""Starts the process of a local model when it is first needed, and again when it has died."""

import asyncio
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from services.chassis import logs
from services.inference.backends.child_process import ChildProcess, start
from services.inference.backends.openai_connection import Endpoint
from services.inference.errors import ModelUnavailable
from services.inference.rules import Condition, ModelState
from services.inference.weights import LockedModel, WeightsMissing, WeightsNotGenuine, find, verified

_log = logs.get(__name__)
_MAX_LOG_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the model is run. `context_tokens` holds per request, `start_seconds` bounds the loading."""

    context_tokens: int
    parallel: int
    threads: int
    start_seconds: float


class LlamaServerProcess:
    """At most one process that runs `model`. `missing_instructions` is what the CPU lacks for it."""

    def __init__(
        self, model: LockedModel, home: Path, options: ServerOptions, missing_instructions: tuple[str, ...]
    ) -> None:
        self._model = model
        self._home = home
        self._options = options
        self._missing_instructions = missing_instructions
        self._process: ChildProcess | None = None
        self._endpoint: Endpoint | None = None
        self._starting: asyncio.Task[Endpoint] | None = None
        self._failure = ""

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None else None

    async def endpoint(self) -> Endpoint:
        """Return where the model is served, after starting the process when it does not run.

        Those who come while it starts wait for the same start; one who gives up does not stop it for the others.

        Raises:
            ModelUnavailable: it cannot be started.
        """
        if self._endpoint is not None and self.pid is not None:
            return self._endpoint
        if self._starting is None or self._starting.done():
            self._starting = asyncio.create_task(self._start())
            self._starting.add_done_callback(_retrieve)
        return await asyncio.shield(self._starting)

    def condition(self) -> Condition:
        """Tell how the model is. Starts and reads nothing."""
        if self._missing_instructions:
            return Condition(ModelState.FAILED, self._cpu_text())
        if self.pid is not None and self._endpoint is not None:
            return Condition(ModelState.READY)
        if self._starting is not None and not self._starting.done():
            return Condition(ModelState.LOADING)
        if find(self._model, self._home) is None:
            return Condition(ModelState.NOT_FETCHED, f"run `parley models fetch {self._model.id}`")
        if self._failure:
            return Condition(ModelState.FAILED, self._failure)
        return Condition(ModelState.AVAILABLE)

    async def ended(self) -> None:
        """Return once no process runs."""
        if self._process is not None:
            await self._process.ended()

    async def close(self) -> None:
        """Stop the process."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        if self._process is not None:
            await self._process.stop()
            self._process = None

    async def _start(self) -> Endpoint:
        self._endpoint = None
        if self._process is not None:
            _log.warning("local model died, starting it again", model=self._model.id, code=self._process.code)
            await self._process.stop()
            self._process = None
        try:
            if self._missing_instructions:
                raise _CannotStart(self._cpu_text())
            weights = await asyncio.to_thread(verified, self._model, self._home)
            self._endpoint = await self._launch(weights)
        except (WeightsMissing, WeightsNotGenuine, OSError, _CannotStart) as error:
            self._failure = str(error)
            _log.warning("local model did not start", model=self._model.id, cause=self._failure)
            raise ModelUnavailable(model=self._model.id, cause=self._failure) from None
        self._failure = ""
        _log.info("local model started", model=self._model.id, pid=self.pid)
        return self._endpoint

    async def _launch(self, weights: Path) -> Endpoint:
        key = secrets.token_urlsafe(32)
        log_path = self._home / "logs" / "local-model.log"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
        with _open_log(log_path) as log:
            process = start(_command(self._model, weights, self._options), environment, log)
        try:
            # Over the pipe, because arguments and environments can be read by others on the machine.
            address = await process.exchange(key, self._options.start_seconds)
            if not address:
                raise _CannotStart(f"its process ended with code {await process.ended()}, see {log_path}")
        except TimeoutError:
            await process.stop()
            raise _CannotStart(f"it was not loaded within {self._options.start_seconds:g} s") from None
        except BaseException:
            await process.stop()
            raise
        self._process = process
        return Endpoint(f"{address}/v1", key, is_ours=True)

    def _cpu_text(self) -> str:
        return f"this CPU lacks the instructions {', '.join(self._missing_instructions)}, which local models need"


class _CannotStart(Exception):
    pass


def _command(model: LockedModel, weights: Path, options: ServerOptions) -> list[str]:
    return [
        *(sys.executable, "-m", "services.inference.llama_server"),
        *("--weights", str(weights)),
        *("--alias", model.id),
        *("--context-tokens", str(options.context_tokens)),
        *("--parallel", str(options.parallel)),
        *("--threads", str(options.threads)),
    ]


def _open_log(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    too_long = path.exists() and path.stat().st_size > _MAX_LOG_BYTES
    return path.open("wb" if too_long else "ab")


def _retrieve(task: "asyncio.Task[Endpoint]") -> None:
    # All who waited may have given up: an exception that nobody fetches would be logged as a fault.
    if not task.cancelled():
        task.exception()
