"""Collects the bindings of every RPC and refuses those that cannot be served, as grpc-gateway's generator does."""

from collections.abc import Iterator
from typing import NamedTuple

from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding, bindings_of, http_bindings
from adapters.rest.binding import BindingInvalid, walk
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import Dialect
from adapters.rest.external_rules import ExternalRules
from adapters.rest.raw_target import raw_target


class RuleInvalid(Exception):
    """A rule cannot be served. The text names the file, the RPC and the rule."""

    def __init__(self, rule: "Rule", problem: str) -> None:
        """Take the rule and what is wrong with it."""
        binding = rule.binding
        super().__init__(f"{rule.file}: {rule.method.full_name}: {binding.http_method} {binding.template}: {problem}")


class Rule(NamedTuple):
    """One binding of an RPC and the file that it comes from."""

    method: MethodDescriptor
    binding: Binding
    file: str


def read_rules_of(descriptors: DescriptorSet, external: ExternalRules, dialect: Dialect) -> Iterator[Rule]:
    """Yield the rules in the order of registration: per RPC those of the file first, then those of the proto.

    Raises:
        RulesInvalid: a rule of the file is for no RPC.
        RuleInvalid: a rule cannot be served.
    """
    methods = list(descriptors.methods())
    external.check({method.full_name for method in methods})
    seen: set[tuple[str, str, str]] = set()
    for method in methods:
        for rule in _rules(method, external, dialect):
            _check(rule, dialect)
            key = (method.containing_service.full_name, rule.binding.http_method, rule.binding.template)
            if key in seen:
                raise RuleInvalid(rule, "the service has this method and path twice")
            seen.add(key)
            yield rule


def _rules(method: MethodDescriptor, external: ExternalRules, dialect: Dialect) -> Iterator[Rule]:
    found = False
    for rule in external.of(method.full_name):
        for binding in bindings_of(rule):
            found = True
            yield Rule(method, binding, external.file)
    for binding in http_bindings(method):
        found = True
        yield Rule(method, binding, method.containing_service.file.name)
    if not found and dialect.generate_unbound_methods:
        template = f"/{method.containing_service.full_name}/{method.name}"
        yield Rule(method, Binding("POST", template, "*", ""), method.containing_service.file.name)


def _check(rule: Rule, dialect: Dialect) -> None:
    binding = rule.binding
    if not binding.template:
        raise RuleInvalid(rule, "there is no path")
    if binding.nested:
        raise RuleInvalid(rule, "additional_bindings inside additional_bindings")
    if binding.body and binding.http_method == "GET":
        raise RuleInvalid(rule, "GET takes no body")
    if binding.body and binding.http_method == "DELETE" and not dialect.allow_delete_body:
        raise RuleInvalid(rule, "DELETE takes no body, unless allow_delete_body is set")
    # The first message of a raw upload has them; the messages of a JSON upload have all fields anyway.
    if rule.method.client_streaming and "{" in binding.template and not _takes_raw(rule, dialect):
        raise RuleInvalid(rule, "a path of a client-streaming RPC takes no variables")


def _takes_raw(rule: Rule, dialect: Dialect) -> bool:
    if not dialect.raw_uploads or not rule.binding.body:
        return False
    request, body = rule.method.input_type, rule.binding.body
    try:
        fields = [] if body == "*" else walk(request, body)
    except BindingInvalid:
        return False
    return raw_target(request, fields, lambda message: message) is not None
