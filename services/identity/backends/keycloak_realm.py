"""The realm that the Keycloak backends share: its administration by python-keycloak, its token endpoint by HTTP."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from keycloak import KeycloakOpenIDConnection
from keycloak.exceptions import KeycloakAuthenticationError, KeycloakConnectionError, KeycloakError

from services.chassis import logs
from services.chassis.errors import InvalidFields
from services.chassis.secrets import LiveSecret
from services.identity.errors import DirectoryUnavailable

_log = logs.get(__name__)
_TIMEOUT_SECONDS = 10.0
_SCOPE = "openid organization"
# RFC 6749, 5.2, and Keycloak's own word for a wrong secret: not the person's fault.
_OUR_SECRET_REFUSED = ("invalid_client", "unauthorized_client")
# Keycloak refuses a stranger some 80 ms sooner than a wrong password. Refusals come at the beat of this clock, so that
# their time tells nobody who has an account.
_REFUSAL_SECONDS = 0.5
_BUSY_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """An OAuth 2.0 error of the token endpoint (RFC 6749, 5.2)."""

    error: str
    description: str


class KeycloakRealm:
    """One realm. `service_secret` is of the client `parley-identity`, `api_secret` of `parley-api`."""

    def __init__(self, url: str, realm: str, service_secret: LiveSecret, api_secret: LiveSecret) -> None:
        server = url.rstrip("/") + "/"
        self._admin = KeycloakOpenIDConnection(
            server_url=server,
            realm_name=realm,
            client_id="parley-identity",
            client_secret_key=service_secret.now(),
            timeout=int(_TIMEOUT_SECONDS),
        )
        self._path = f"admin/realms/{quote(realm, safe='')}"
        self._token_url = f"{server}realms/{quote(realm, safe='')}/protocol/openid-connect/token"
        self._service_secret, self._api_secret = service_secret, api_secret
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False)

    async def get(self, path: str, **query: object) -> Any:
        """GET below the realm's administration; None when there is no such thing. Raises DirectoryUnavailable."""
        shown = {name: value for name, value in query.items() if value is not None}
        answer = await self._ask(self._admin.a_raw_get, path, **shown)
        return None if answer.status_code == httpx.codes.NOT_FOUND else _checked(answer).json()

    async def post(self, path: str, body: object) -> httpx.Response:
        """POST and return the answer, 4xx included. Raises DirectoryUnavailable."""
        return await self._ask(self._admin.a_raw_post, path, data=_json(body))

    async def put(self, path: str, body: object) -> httpx.Response:
        """PUT and return the answer, 4xx included. Raises DirectoryUnavailable."""
        return await self._ask(self._admin.a_raw_put, path, data=_json(body))

    async def delete(self, path: str, body: object = None) -> bool:
        """DELETE; False when there was nothing. Raises DirectoryUnavailable."""
        data = None if body is None else _json(body)
        answer = await self._ask(self._admin.a_raw_delete, path, data=data)
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.BAD_REQUEST):
            return False
        _checked(answer)
        return True

    async def token(self, form: Mapping[str, str], address: str = "") -> dict[str, Any]:
        """Ask the token endpoint as `parley-api`; `address` is the person's own, for Keycloak's events and limits.

        Raises:
            Refusal: it gives none.
            DirectoryUnavailable: Keycloak cannot be reached.
        """
        headers = {"x-forwarded-for": address} if address else {}
        began = time.monotonic()
        answer, told = await self._asked(form, headers)
        is_password = form["grant_type"] == "password"
        for pause in _BUSY_PAUSES_SECONDS:
            if not (_is_refusal(answer, told) and is_password and await self._was_busy(form["username"])):
                break
            await asyncio.sleep(pause)
            answer, told = await self._asked(form, headers)
        if _is_refusal(answer, told):
            if is_password:
                await asyncio.sleep(-(time.monotonic() - began) % _REFUSAL_SECONDS)
            raise Refusal(str(told["error"]), str(told.get("error_description", "")))
        tokens: dict[str, Any] = _checked(answer).json()
        return tokens

    async def _was_busy(self, login: str) -> bool:
        """Say whether a sign-in was refused only because another one of the same person was being counted.

        Until its guard against brute force has done so, Keycloak calls the person "temporarily disabled".
        """
        name = "email" if "@" in login else "username"
        for user in await self.get("users", **{name: login, "exact": "true"}) or ():
            last = await self.get("events", user=user["id"], type="LOGIN_ERROR", max=1)
            if last and last[0].get("error") == "user_temporarily_disabled":
                guard = await self.get(f"attack-detection/brute-force/users/{user['id']}")
                return bool(guard) and not guard["disabled"]
        return False

    async def _asked(
        self, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[httpx.Response, dict[str, Any]]:
        shown = self._api_secret.now()
        answer, told = await self._post(shown, form, headers)
        if told.get("error") in _OUR_SECRET_REFUSED and (changed := await self._api_secret.look_again()) != shown:
            answer, told = await self._post(changed, form, headers)
        return answer, told

    async def _post(
        self, secret: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[httpx.Response, dict[str, Any]]:
        data = {"client_id": "parley-api", "client_secret": secret, "scope": _SCOPE, **form}
        try:
            answer = await self._http.post(self._token_url, data=data, headers=headers)
        except httpx.HTTPError as error:
            raise DirectoryUnavailable from error
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer, answer.json() if is_json else {}

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        # The library opens a second client for the tokens of the first, and forgets it.
        await self._admin.keycloak_openid.connection.aclose()
        await self._admin.aclose()

    async def _ask(self, method: Any, path: str, **more: Any) -> httpx.Response:
        url = f"{self._path}/{path}"
        openid = self._admin.keycloak_openid
        openid.client_secret_key = self._service_secret.now()
        try:
            try:
                answer: httpx.Response = await method(url, **more)
            except KeycloakAuthenticationError:
                openid.client_secret_key = await self._service_secret.look_again()
                answer = await method(url, **more)
        except (KeycloakConnectionError, KeycloakAuthenticationError, KeycloakError) as error:
            _log.warning("Keycloak cannot be asked", error=type(error).__name__)
            raise DirectoryUnavailable from error
        return answer


def refuse_password(answer: httpx.Response) -> None:
    """Raise InvalidFields, naming the password, when the answer says that the realm's policy refuses it."""
    told = answer.json() if answer.status_code == httpx.codes.BAD_REQUEST and answer.content else {}
    text = str(told.get("errorMessage") or told.get("error_description") or told.get("error") or "")
    if "assword" in text:
        raise InvalidFields([("password", "is refused by the password policy")])
    _checked(answer)


def refuse_email(answer: httpx.Response) -> None:
    """Raise InvalidFields, naming the address, when the answer says that the realm does not take it."""
    told = answer.json() if answer.status_code == httpx.codes.BAD_REQUEST and answer.content else {}
    errors = told.get("errors") or [told]
    if any(error.get("field") == "email" for error in errors):
        raise InvalidFields([("email", "is refused by the directory")])


def _is_refusal(answer: httpx.Response, told: Mapping[str, Any]) -> bool:
    is_refused = answer.status_code in (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED)
    return is_refused and told.get("error") in ("invalid_grant", "invalid_request")


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    # A refusal of our own rights, or a fault of Keycloak's: nothing the client could mend.
    _log.error("Keycloak refuses", status=answer.status_code, path=answer.request.url.path)
    raise DirectoryUnavailable


def _json(body: object) -> str:
    return orjson.dumps(body).decode()
