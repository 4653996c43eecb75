"""Makes messages of gRPC methods of which only a stranger's descriptors are known. Runs in the sandbox."""

import json
from base64 import b64decode, b64encode
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError

from services.chassis.sandbox.child import Refused


def packed(descriptor_set: bytes, method: str, content: bytes = b"") -> bytes:
    """Return the input of the functions below; `content` is JSON for a request and the message for an answer."""
    texts = {"set": b64encode(descriptor_set).decode(), "method": method, "content": b64encode(content).decode()}
    return json.dumps(texts).encode()


def check_method(payload: bytes) -> bytes:
    """Raise Refused when the descriptors hold no such unary method."""
    _read(payload)
    return b""


def request_of(payload: bytes) -> bytes:
    """Return the request of a method that is made of arguments. Raises Refused."""
    method, arguments = _read(payload)
    request = message_factory.GetMessageClass(method.input_type)()
    try:
        json_format.ParseDict(json.loads(arguments), request)
        return bytes(request.SerializeToString())
    except (TypeError, ValueError, RecursionError, json_format.ParseError) as error:
        raise Refused(f"{error}"[:500]) from None


def answer_of(payload: bytes) -> bytes:
    """Return a method's answer as JSON. Raises Refused when it is not the message that the descriptors say."""
    method, answer = _read(payload)
    try:
        message = message_factory.GetMessageClass(method.output_type).FromString(answer)
        return json_format.MessageToJson(message, indent=None, ensure_ascii=False).encode()
    except (DecodeError, TypeError, ValueError, RecursionError, json_format.SerializeToJsonError) as error:
        raise Refused(f"{error}"[:500]) from None


def _read(payload: bytes) -> tuple[MethodDescriptor, bytes]:
    texts: dict[str, Any] = json.loads(payload)
    try:
        return _method(b64decode(texts["set"]), texts["method"]), b64decode(texts["content"])
    except (KeyError, TypeError, ValueError, DecodeError) as error:
        raise Refused(f"{error}"[:500]) from None


def _method(descriptor_set: bytes, path: str) -> MethodDescriptor:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        pool.Add(file)
    service, _, name = path.lstrip("/").partition("/")
    method: MethodDescriptor = pool.FindServiceByName(service).methods_by_name[name]
    if method.client_streaming or method.server_streaming:
        raise ValueError("only unary methods can be called")
    return method
