"""Which service may call which RPC: the table of the contract, held against every service there is."""

import pytest
from parley.access.v1 import access_pb2

from deploy.envoy.contract import load_descriptors, read_rpcs
from services.chassis.caller import Caller
from services.chassis.interceptors.authorization import missing
from services.chassis.method_options import Access
from services.registry import CAPABILITIES

_INTERNAL = [rpc.path for rpc in read_rpcs(load_descriptors()) if rpc.is_internal]


def _rule(path: str) -> Access:
    service, _, method = path[1:].rpartition("/")
    descriptors = load_descriptors()
    for file in descriptors.file:
        for declared in file.service:
            if f"{file.package}.{declared.name}" == service:
                for rpc in declared.method:
                    if rpc.name == method:
                        option = rpc.options.Extensions[access_pb2.access]
                        return Access(option.level, frozenset(option.roles), option.scope, frozenset(option.services))
    raise AssertionError(path)


def test_there_are_rpcs_between_services() -> None:
    assert "/parley.inference.v1.GenerationService/Generate" in _INTERNAL


@pytest.mark.parametrize("path", _INTERNAL)
def test_only_services_of_the_table_may_call(path: str) -> None:
    rule = _rule(path)
    assert rule.services <= set(CAPABILITIES), "a service that does not exist"
    for name in CAPABILITIES:
        allowed = not rule.services or name in rule.services
        assert (missing(rule, Caller(service=name)) == "") is allowed, name
    for nobody in (Caller(), Caller(user_id="ann", roles=frozenset({"user", "admin", "service"}))):
        assert missing(rule, nobody)
    assert bool(rule.services) is bool(missing(rule, Caller(service="stranger")))


def test_the_models_are_asked_by_conversations_only() -> None:
    rule = _rule("/parley.inference.v1.GenerationService/Generate")
    assert missing(rule, Caller(service="conversations")) == ""
    assert missing(rule, Caller(service="identity")) == "the service conversations"
