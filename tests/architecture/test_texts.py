"""Every string that a request can hold is checked for control characters, wherever it stands."""

import pytest
from google.protobuf import message_factory, struct_pb2
from parley.access.v1 import access_pb2
from parley.validation.v1 import validation_pb2

from services.chassis.field_limits import violations
from tests.architecture.house import Rpc, fields_below, rpcs
from tests.support.string_fields import places


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_no_string_of_a_request_holds_nul(rpc: Rpc) -> None:
    make = message_factory.GetMessageClass(rpc.method.input_type)
    for path, put in places(rpc.method.input_type):
        request = make()
        put(request, "a\0b")
        found = dict(violations(request))
        assert "U+0000" in found.get(path, ""), (path, found)


def test_a_struct_is_checked_to_its_leaves() -> None:
    for path, put in places(struct_pb2.Struct.DESCRIPTOR):
        struct = struct_pb2.Struct()
        put(struct, "a\x1bb")
        assert "U+001B" in dict(violations(struct)).get(path, ""), path


@pytest.mark.parametrize("rpc", rpcs(), ids=lambda rpc: rpc.name)
def test_only_services_send_texts_verbatim(rpc: Rpc) -> None:
    verbatim = [
        path
        for path, field in fields_below(rpc.method.input_type)
        if field.GetOptions().Extensions[validation_pb2.limits].text == validation_pb2.TEXT_VERBATIM
    ]
    assert rpc.level == access_pb2.LEVEL_SERVICE or verbatim == []
