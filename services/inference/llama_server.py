"""The process that runs a local model: llama.cpp's OpenAI-compatible server, from the wheel xllamacpp.

It reads the key that callers must show as the first line of standard input, writes its URL as one line to standard
output once it listens, and ends when standard input ends: that is, when whoever started it closes it or dies.
"""

import argparse
import os
import sys

_PROMPT_CACHE_MIB = 256


def main() -> None:
    """Serve one model until standard input ends."""
    options = _options()
    from setproctitle import setproctitle

    setproctitle("parley: local model")
    key = sys.stdin.buffer.readline().decode().strip()
    # Native code logs to standard output; only the line that says we are ready may go to who started us.
    ready = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    import xllamacpp

    server = xllamacpp.Server(_parameters(options, key))
    ready.write(f"{server.listening_address}\n")
    ready.close()
    sys.stdin.buffer.read()
    # Answers that are being written have no reader any more; waiting for them would only delay the end.
    os._exit(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--parallel", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    return parser.parse_args()


def _parameters(options: argparse.Namespace, key: str):  # type: ignore[no-untyped-def]
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = options.weights
    parameters.model_alias = {options.alias}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.api_keys = [key]
    # Each slot has a context of its own. With a shared (unified) one, two long requests that collide both fail.
    parameters.n_ctx = options.context_tokens * options.parallel
    parameters.n_parallel = options.parallel
    parameters.cpuparams.n_threads = options.threads
    parameters.cpuparams_batch.n_threads = options.threads
    # The default keeps up to 8 GiB of past prompts.
    parameters.cache_ram_mib = _PROMPT_CACHE_MIB
    parameters.endpoint_slots = False
    parameters.ui = False
    parameters.verbosity = 2  # warnings and errors; nothing about what was said
    return parameters


if __name__ == "__main__":
    main()
