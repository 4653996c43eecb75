"""The sessions of a Keycloak realm."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt

from services.identity.backends.keycloak_profile import moment
from services.identity.backends.keycloak_realm import KeycloakRealm, Refusal
from services.identity.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from services.identity.rules.identifiers import canonical_login
from services.identity.rules.sessions import TokenPair, UserSession
from services.identity.rules.users import composed

_SHOWN = 100
_EVENTS = 1000
# Keycloak's texts. It says these of tokens that it signed only: what such a token names can be believed.
_REUSED = "Maximum allowed refresh token reuse exceeded"
_ENDED = ("Session not active", "Session doesn't have required client", "Session is not active")


@dataclass(frozen=True, slots=True)
class KeycloakSessions:
    """Implements the port SessionDirectory."""

    realm: KeycloakRealm
    access_lifetime: timedelta
    refresh_lifetime: timedelta

    async def sign_in(self, login: str, password: str, address: str = "") -> TokenPair:
        """See the port."""
        form = {"grant_type": "password", "username": canonical_login(login), "password": composed(password)}
        try:
            return _pair(await self.realm.token(form, address))
        except Refusal as refusal:
            # Wrong, unknown, disabled or locked: Keycloak's events tell which, we do not.
            raise InvalidCredentials from refusal

    async def refresh(self, refresh_token: str) -> TokenPair:
        """See the port."""
        try:
            return _pair(await self.realm.token({"grant_type": "refresh_token", "refresh_token": refresh_token}))
        except Refusal as refusal:
            reason = refusal.description
        if reason == _REUSED:
            named = _named(refresh_token)
            # Keycloak takes our client out of the session; the rest of it goes too.
            await self.realm.delete(f"sessions/{named['sid']}")
            raise RefreshTokenReused(str(named["sid"]), str(named["sub"]))
        raise InvalidRefreshToken(str(_named(refresh_token)["sid"]) if reason in _ENDED else "")

    async def of_user(self, user_id: UUID) -> list[UserSession]:
        """See the port."""
        found = await self.realm.get(f"users/{user_id}/sessions") or []
        sessions = sorted((self._session(shown) for shown in found), key=lambda one: one.created_at, reverse=True)
        return sessions[:_SHOWN]

    async def goes_on(self, user_id: UUID, session_id: str) -> bool:
        """See the port."""
        found = await self.realm.get(f"users/{user_id}/sessions") or []
        return session_id in [shown["id"] for shown in found]

    async def end(self, user_id: UUID, session_id: str) -> bool:
        """See the port."""
        return await self.goes_on(user_id, session_id) and await self.realm.delete(f"sessions/{session_id}")

    async def end_all(self, user_id: UUID) -> list[str]:
        """See the port."""
        found = await self.realm.get(f"users/{user_id}/sessions") or []
        # Also when none is shown: from now on Keycloak refuses the offline tokens that it gave before.
        await self.realm.post(f"users/{user_id}/logout", {})
        return [str(shown["id"]) for shown in found]

    async def tidy(self) -> list[str]:
        """See the port. Keycloak forgets by itself; its events tell who signed out elsewhere, as in its console."""
        since = int((datetime.now(UTC) - self.access_lifetime).timestamp() * 1000)
        events = await self.realm.get("events", type="LOGOUT", dateFrom=since, max=_EVENTS) or []
        ended = [str(event["sessionId"]) for event in events if event.get("sessionId")]
        query: dict[str, Any] = {"operationTypes": "DELETE", "dateFrom": since, "max": _EVENTS}
        for event in await self.realm.get("admin-events", **query) or []:
            kind, _, session_id = str(event.get("resourcePath", "")).partition("/")
            if kind == "sessions" and session_id:
                ended.append(session_id)
        return ended

    def _session(self, shown: dict[str, Any]) -> UserSession:
        created_at = moment(shown["start"])
        used_at = max(moment(shown["lastAccess"]), created_at)
        return UserSession(
            str(shown["id"]), created_at, used_at, used_at + self.refresh_lifetime, str(shown.get("ipAddress", ""))
        )


def _pair(tokens: dict[str, Any]) -> TokenPair:
    return TokenPair(
        str(tokens["access_token"]),
        str(tokens["refresh_token"]),
        int(tokens["expires_in"]),
        user_id=str(_named(str(tokens["access_token"]))["sub"]),
        session_id=str(tokens.get("session_state", "")),
    )


def _named(token: str) -> dict[str, Any]:
    """Return what a token of Keycloak says; it has checked the signature."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return {"sub": "", "sid": ""} | claims
