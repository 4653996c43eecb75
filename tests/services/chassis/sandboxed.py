"""What the tests of the sandbox run in it: each does what some hostile input would make a parser do."""

import os
import signal
import socket
import sys
import time
from pathlib import Path

from services.chassis.sandbox.child import Refused


def echo(payload: bytes) -> bytes:
    """Return what came."""
    return payload


def modules(payload: bytes) -> bytes:
    """Return the names of what is imported."""
    return "\n".join(sys.modules).encode()


def refuse(payload: bytes) -> bytes:
    """Say why the input cannot be used."""
    raise Refused(f"{payload.decode()} is wrong")


def fail(payload: bytes) -> bytes:
    """Raise what nobody expects."""
    raise ZeroDivisionError


def hang(payload: bytes) -> bytes:
    """Wait."""
    time.sleep(600)
    return b""


def compute(payload: bytes) -> bytes:
    """Compute without end, in native code."""
    return str(sum(iter(int, 1))).encode()


def remember(payload: bytes) -> bytes:
    """Take memory without end."""
    kept = [payload]
    while True:
        kept.append(bytes(10_000_000))


def flood(payload: bytes) -> bytes:
    """Write without end."""
    while True:
        os.write(1, bytes(65_536))


def close_and_hang(payload: bytes) -> bytes:
    """Close the output and go on."""
    os.close(1)
    time.sleep(600)
    return b""


def die(payload: bytes) -> bytes:
    """End by the signal that the input names."""
    os.kill(os.getpid(), signal.Signals[payload.decode()])
    time.sleep(600)
    return b""


def leave(payload: bytes) -> bytes:
    """End without a word."""
    os._exit(int(payload))


def read_a_file(payload: bytes) -> bytes:
    """Open a file."""
    try:
        return Path("/etc/hostname").read_bytes()
    except OSError as error:
        raise Refused(str(error)) from None


def connect(payload: bytes) -> bytes:
    """Open a socket."""
    try:
        with socket.socket():
            return b"connected"
    except OSError as error:
        raise Refused(str(error)) from None


def secrets(payload: bytes) -> bytes:
    """Return the environment."""
    return repr(dict(os.environ)).encode()
