"""Logs in as the operator of Vault; the options that every command of this folder has."""

import argparse
import time
from pathlib import Path

import hvac
from hvac.exceptions import VaultError
from requests.exceptions import RequestException

_PATIENCE_SECONDS = 20.0


def options(description: str) -> argparse.ArgumentParser:
    """Return a parser with the options that reach Vault."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--url", required=True, help="where Vault is")
    parser.add_argument("--ca", default="", help="PEM file of the authority of its certificate")
    parser.add_argument("--operator", default="operator", help="a user of the method userpass with the policy operator")
    parser.add_argument("--operator-password", required=True, type=Path, help="file with the user's password")
    parser.add_argument("--capabilities", required=True, help="names of the services, separated by commas")
    return parser


def log_in(given: argparse.Namespace) -> hvac.Client:
    """Return a client with a token of the operator. Asks for 20 s while Vault starts; raises what it last answered."""
    client = hvac.Client(url=given.url, verify=given.ca or True)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            client.auth.userpass.login(given.operator, given.operator_password.read_text().strip())
        except (RequestException, VaultError):
            # Self-init makes the user after the server has begun to answer.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return client
