"""The OpenAPI document, held against the specification's own schema, and its finer points."""

from pathlib import Path
from typing import Any

import pytest
from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from openapi_spec_validator import OpenAPIV31SpecValidator

from adapters.rest.annotations import Binding
from adapters.rest.descriptors import DescriptorSet, load_descriptor_set, read_descriptor_set
from adapters.rest.docs import PARTS
from adapters.rest.openapi import openapi_document
from adapters.rest.settings import RestSettings

Json = dict[str, Any]


@pytest.fixture(scope="module")
def own() -> DescriptorSet:
    """Parley's own descriptors."""
    return read_descriptor_set(RestSettings().descriptor_set)


@pytest.fixture(scope="module")
def ours(own: DescriptorSet) -> Json:
    """Parley's own document."""
    return openapi_document(own, "Parley", "1")


def test_our_documents_are_valid(own: DescriptorSet, ours: Json) -> None:
    OpenAPIV31SpecValidator(ours).validate()
    for wanted in PARTS.values():
        OpenAPIV31SpecValidator(openapi_document(own, "Part", "1", wanted)).validate()


def test_a_foreign_document_is_valid(trial_types: DescriptorSet) -> None:
    OpenAPIV31SpecValidator(openapi_document(trial_types, "Trial", "1")).validate()


def test_every_status_is_named(ours: Json) -> None:
    paths = ours["paths"]
    everywhere = {"200", "400", "401", "403", "404", "429", "500", "503", "504", "default"}
    for item in paths.values():
        for operation in item.values():
            assert everywhere <= operation["responses"].keys()
    message = paths["/api/v1/chat/conversations/{conversationId}/messages"]
    assert {"409", "413"} <= message["post"]["responses"].keys()
    assert not {"409", "413"} & message["get"]["responses"].keys()
    stream = paths["/api/v1/chat/conversations/{conversationId}/runs/{runId}:stream"]["get"]["responses"]
    assert "204" in stream
    assert stream["404"] == {"$ref": "#/components/responses/StreamNotFound"}
    wrapped = ours["components"]["responses"]["StreamNotFound"]["content"]["application/json"]["schema"]["anyOf"]
    assert wrapped[0] == {"$ref": "#/components/schemas/google.rpc.Status"}
    assert wrapped[1]["required"] == ["error"]


def test_a_foreign_document_promises_no_access_rules(trial_types: DescriptorSet) -> None:
    document = openapi_document(trial_types, "Trial", "1")
    assert not {"401", "403"} & document["paths"]["/v1/users/{id}"]["get"]["responses"].keys()


def test_a_limit_in_bytes_is_told(ours: Json) -> None:
    text = ours["components"]["schemas"]["parley.conversations.v1.ChatRequest"]["properties"]
    limited = [schema for schema in text.values() if "x-max-bytes" in schema]
    assert limited[0]["maxLength"] == limited[0]["x-max-bytes"] == 32768
    assert limited[0]["description"].endswith("At most 32768 bytes in UTF-8.")


def test_each_wildcard_is_a_parameter(trial_types: DescriptorSet) -> None:
    paths = openapi_document(trial_types, "Trial", "1")["paths"]
    books = paths["/v1/shelves/{text}/books/{text_1}:read"]["get"]["parameters"]
    assert [one["name"] for one in books if one["in"] == "path"] == ["text", "text_1"]
    file = paths["/v1/files/{text}"]["get"]["parameters"][0]
    assert file["description"] == "May hold slashes."


def test_numbers_say_how_large_they_are(trial_types: DescriptorSet) -> None:
    schemas = openapi_document(trial_types, "Trial", "1")["components"]["schemas"]
    fields = schemas["trial.v1.Everything"]["properties"]
    assert fields["natural"]["maximum"] == 2**32 - 1
    assert fields["great"] == {"type": "string", "format": "uint64", "pattern": "^[0-9]{1,20}$"}
    assert fields["nested"]["anyOf"][1] == {"type": "null"}


def test_versions_live_side_by_side_and_paths_of_one_shape_are_one_path(trial_set: Path) -> None:
    files = FileDescriptorSet.FromString(trial_set.read_bytes())
    first = next(file for file in files.file if file.name == "trial.proto").SerializeToString()
    second = files.file.add()
    for old, new in ((b"trial.v1", b"trial.v2"), (b"trial.proto", b"later.proto"), (b"/v1/", b"/v2/")):
        first = first.replace(old, new)
    second.ParseFromString(first.replace(b"parley/streaming/v2/", b"parley/streaming/v1/"))
    update = next(method for method in second.service[0].method if method.name == "Update")
    update.options.Extensions[annotations_pb2.http].patch = "/v1/users/{nested.name}"
    document = openapi_document(load_descriptor_set(files.SerializeToString()), "Both", "1")
    OpenAPIV31SpecValidator(document).validate()
    assert [tag["name"] for tag in document["tags"]] == ["trial.v1.TrialService", "trial.v2.TrialService"]
    assert document["paths"]["/v2/users/{id}"]["get"]["operationId"] == "trial_v2_TrialService_GetUser"
    user = document["paths"]["/v1/users/{id}"]
    assert user.keys() == {"get", "patch"}
    assert user["patch"]["parameters"][0]["name"] == "id"


def test_upload_streams_and_rules_from_elsewhere_are_there(trial_set: Path) -> None:
    files = FileDescriptorSet.FromString(trial_set.read_bytes())
    trial = next(file for file in files.file if file.name == "trial.proto")
    next(method for method in trial.service[0].method if method.name == "Update").client_streaming = True
    types = load_descriptor_set(files.SerializeToString())
    body = openapi_document(types, "Trial", "1")["paths"]["/v1/things/{nested.name}"]["put"]["requestBody"]
    assert "one after the other" in body["description"]

    def bindings(method: MethodDescriptor) -> list[Binding]:
        return [Binding("POST", f"/{method.containing_service.full_name}/{method.name}", "*", "")]

    document = openapi_document(types, "Trial", "1", bindings=bindings)
    OpenAPIV31SpecValidator(document).validate()
    assert "/trial.v1.TrialService/Fail" in document["paths"]
