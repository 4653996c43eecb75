"""What Envoy does while the parts behind it come and go."""

import time
from pathlib import Path

import grpc
import httpx
import pytest
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc

from tests.deploy.grpc_double import running_grpc_double
from tests.deploy.rest_double import running_rest_double
from tests.deploy.running_envoy import plan_house, running_envoy
from tests.deploy.tokens import TokenMaker
from tests.support.polling import until


def test_keys_that_come_late_are_fetched(tmp_path: Path) -> None:
    house, maker = plan_house(tmp_path), TokenMaker()
    headers = {"authorization": f"Bearer {maker.token()}"}
    with running_envoy(house), httpx.Client(base_url=house.url, headers=headers) as client:
        early = client.get("/api/v1/users/me")
        assert (early.status_code, early.json()["code"]) == (401, 16)
        gone = client.get("/health")
        assert (gone.status_code, gone.json()["code"]) == (503, 14)
        assert "127.0.0.1" not in gone.text
        with running_rest_double(house.rest, None) as rest:
            until(lambda: client.get("/health").status_code == 200, seconds=3, what="the adapter")
            rest.keys = maker.key_set()
            published = time.monotonic()
            until(lambda: client.get("/api/v1/users/me").status_code == 200, seconds=5, what="the keys")
            print(f"tokens count {time.monotonic() - published:.2f} s after their keys are published")


async def test_restarted_services_are_reached_at_once(tmp_path: Path) -> None:
    house = plan_house(tmp_path)
    request = auth_service_pb2.LoginRequest(login="ada")
    with running_envoy(house):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{house.mesh}") as channel:
            stub = auth_service_pb2_grpc.AuthServiceStub(channel)
            for _ in range(3):
                async with running_grpc_double(house.services):
                    began = time.monotonic()
                    assert (await stub.Login(request, timeout=30)).access_token == "ada"
                    assert time.monotonic() - began < 5
                with pytest.raises(grpc.aio.AioRpcError) as failure:
                    await stub.Login(request, timeout=5)
                assert failure.value.code() is grpc.StatusCode.UNAVAILABLE
