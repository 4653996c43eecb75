"""People who use the house in tests."""

from dataclasses import dataclass

import httpx

from services.chassis.identifiers import new_id

PASSWORD = "a password of the tests"


@dataclass(frozen=True)
class SignedIn:
    """A user with tokens."""

    user_id: str
    username: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a REST call."""
        return {"authorization": f"Bearer {self.access_token}"}

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The metadata of a gRPC call."""
        return (("authorization", f"Bearer {self.access_token}"),)


async def register(edge: str) -> SignedIn:
    """Register somebody new through the edge and sign in."""
    username = f"user-{new_id().hex[-12:]}"
    async with httpx.AsyncClient(base_url=edge, trust_env=False, timeout=60) as client:
        made = await client.post(
            "/api/v1/auth/register",
            json={"email": f"{username}@example.org", "username": username, "password": PASSWORD},
        )
        made.raise_for_status()
        return await sign_in(edge, username, PASSWORD, user_id=made.json()["id"])


async def sign_in(edge: str, login: str, password: str, user_id: str = "") -> SignedIn:
    """Sign somebody in through the edge."""
    async with httpx.AsyncClient(base_url=edge, trust_env=False, timeout=60) as client:
        answer = await client.post("/api/v1/auth/login", json={"login": login, "password": password})
        answer.raise_for_status()
        tokens = answer.json()
    return SignedIn(user_id, login, tokens["accessToken"], tokens["refreshToken"])
