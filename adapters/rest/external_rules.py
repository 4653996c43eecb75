"""Reads HTTP rules from a file beside the protos: grpc-gateway's `type: google.api.Service` YAML."""

from collections.abc import Iterable
from pathlib import Path

import yaml
from google.api.http_pb2 import Http, HttpRule
from google.protobuf import json_format

_TYPE = "google.api.Service"


class RulesInvalid(Exception):
    """The file cannot be read, or it holds something else than HTTP rules."""


class ExternalRules:
    """The rules of one file by RPC."""

    def __init__(self, file: str = "", rules: Iterable[HttpRule] = ()) -> None:
        """Take the file's name and its rules."""
        self.file = file
        self._rules: dict[str, list[HttpRule]] = {}
        for rule in rules:
            self._rules.setdefault(rule.selector, []).append(rule)

    def of(self, rpc: str) -> list[HttpRule]:
        """Return the rules of an RPC."""
        return self._rules.get(rpc, [])

    def check(self, rpcs: set[str]) -> None:
        """Look that every rule is for an RPC.

        Raises:
            RulesInvalid: one is not.
        """
        for selector in self._rules:
            if selector not in rpcs:
                raise RulesInvalid(f"{self.file}: no RPC has the selector {selector!r}")


def read_rules(path: Path | None) -> ExternalRules:
    """Return the rules of a file; none without a file.

    Raises:
        RulesInvalid: the file cannot be read or is no google.api.Service.
    """
    if path is None:
        return ExternalRules()
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise RulesInvalid(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RulesInvalid(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(document, dict) or document.get("type", _TYPE) != _TYPE:
        raise RulesInvalid(f"{path}: not of type {_TYPE}")
    try:
        content = json_format.ParseDict(document.get("http") or {}, Http())
    except json_format.ParseError as error:
        raise RulesInvalid(f"{path}: http: {' '.join(str(error).split())}") from error
    return ExternalRules(str(path), content.rules)
