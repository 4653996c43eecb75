"""Keeps the identity providers whose logins Keycloak brokers: Google, GitHub, and any with OpenID Connect."""

import hashlib
from typing import Any

import httpx
from keycloak import KeycloakAdmin

from deploy.keycloak.differences import differences
from deploy.keycloak.ledger import Ledger
from deploy.keycloak.realm import Json
from deploy.keycloak.settings import KeycloakSettings

# Keycloak answers stars for a secret; by this a changed one is seen.
_FINGERPRINT = "parleySecretFingerprint"
_DISCOVERY_SECONDS = 10.0


def keep_providers(admin: KeycloakAdmin, settings: KeycloakSettings, ledger: Ledger) -> None:
    """Make or mend the providers of the settings.

    Raises:
        httpx.HTTPError: the other provider does not tell where its endpoints are.
    """
    current = {provider["alias"]: provider for provider in admin.get_idps()}
    for provider in wanted_providers(settings):
        alias = provider["alias"]
        if alias not in current:
            ledger.make(f"identity provider {alias}", lambda provider=provider: admin.create_idp(provider))  # type: ignore[misc]
            continue
        seen = {
            **provider,
            "config": {key: value for key, value in provider["config"].items() if key != "clientSecret"},
        }
        there = current[alias]
        whole = {**there, **provider, "config": {**there.get("config", {}), **provider["config"]}}
        ledger.mend(
            f"identity provider {alias}",
            differences(seen, there),
            lambda alias=alias, whole=whole: admin.update_idp(alias, whole),  # type: ignore[misc]
        )


def wanted_providers(settings: KeycloakSettings) -> list[Json]:
    """Return the providers that the settings ask for. Raises httpx.HTTPError."""
    providers = []
    for kind, name, client_id, secret in (
        ("google", "Google", settings.google_client_id, settings.google_client_secret),
        ("github", "GitHub", settings.github_client_id, settings.github_client_secret),
    ):
        if client_id:
            providers.append(_provider(kind, kind, name, client_id, secret.get_secret_value(), {}))
    if settings.oidc_issuer:
        password = settings.oidc_client_secret.get_secret_value()
        config = _endpoints(settings.oidc_issuer)
        alias, name = settings.oidc_alias, settings.oidc_name
        providers.append(_provider("oidc", alias, name, settings.oidc_client_id, password, config))
    return providers


def _provider(kind: str, alias: str, name: str, client_id: str, secret: str, more: dict[str, str]) -> Json:
    fingerprint = hashlib.sha256(f"{alias}\0{secret}".encode()).hexdigest()[:16]
    config = {"clientId": client_id, "clientSecret": secret, _FINGERPRINT: fingerprint, "syncMode": "IMPORT"}
    return {
        "alias": alias,
        "displayName": name,
        "providerId": kind,
        "enabled": True,
        # An address that a provider tells is not proof enough to become an existing user: the first login asks.
        "trustEmail": False,
        "storeToken": False,
        "firstBrokerLoginFlowAlias": "first broker login",
        "config": config | more,
    }


def _endpoints(issuer: str) -> dict[str, str]:
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    response = httpx.get(url, timeout=_DISCOVERY_SECONDS, trust_env=False)
    response.raise_for_status()
    told: dict[str, Any] = response.json()
    return {
        "issuer": told["issuer"],
        "authorizationUrl": told["authorization_endpoint"],
        "tokenUrl": told["token_endpoint"],
        "jwksUrl": told["jwks_uri"],
        "userInfoUrl": told["userinfo_endpoint"],
        "logoutUrl": told.get("end_session_endpoint", ""),
        "validateSignature": "true",
        "useJwksUrl": "true",
        "pkceEnabled": "true",
        "pkceMethod": "S256",
        "clientAuthMethod": "client_secret_post",
        "defaultScope": "openid profile email",
    }
