"""The realm is what is written down: drift is told, and mended."""

import os
import subprocess

from tests.stack.conftest import Stack, stack_settings
from tests.support.running_mesh import PARLEY, environment


def sync(stack: Stack, *options: str, **settings: object) -> tuple[int, str]:
    """Run `parley identity sync` as the launcher does; return its exit code and what it printed."""
    return _identity(stack, "sync", *options, **settings)


def rotate(stack: Stack, wait: float) -> tuple[int, str]:
    """Run `parley identity rotate-keys`."""
    return _identity(stack, "rotate-keys", "--wait", str(wait))


def _identity(stack: Stack, *words: str, **settings: object) -> tuple[int, str]:
    ours = {
        "keycloak_url": stack.keycloak,
        "keycloak_operator_secret": stack.secret("keycloak-operator-secret"),
        "keycloak_api_secret": stack.secret("keycloak-client-parley-api"),
        "keycloak_require_tls": "false",
    }
    env = environment(stack.mesh.home, stack.mesh.port, stack_settings(stack.page) | ours | settings)
    command = [PARLEY, "identity", *words]
    done = subprocess.run(
        command, env=os.environ | env, cwd=stack.mesh.home, capture_output=True, text=True, timeout=120, check=False
    )
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


def test_a_fresh_stack_has_no_drift(stack: Stack) -> None:
    assert sync(stack, "--check") == (0, "The realm is as it should be.\n")


def test_drift_is_told_and_mended_and_secrets_are_not_shown(stack: Stack) -> None:
    admin = stack.admin()
    admin.update_realm("parley", {"bruteForceProtected": False, "accessTokenLifespan": 86_400})
    web, api = admin.get_client_id("parley-web"), admin.get_client_id("parley-api")
    admin.update_client(str(web), {"redirectUris": ["*"]})
    admin.update_client(str(api), {"secret": "known-to-all"})
    admin.delete_realm_role("auditor")
    intruder = admin.get_client_service_account_user(str(admin.get_client_id("parley-inference")))["id"]
    owner = str(admin.get_client_id("realm-management"))
    admin.assign_client_role(intruder, owner, [admin.get_client_role(owner, "realm-admin")])
    wanted = [
        "~ realm parley: accessTokenLifespan: 86400 -> 1800",
        "~ realm parley: bruteForceProtected: False -> True",
        "+ role auditor",
        f"~ client parley-web: redirectUris: ['*'] -> ['http://127.0.0.1:{stack.page}/*']",
        "~ client parley-api: secret: another value",
        "~ client parley-inference: role realm-management/realm-admin: given -> taken away",
    ]
    code, told = sync(stack, "--check")
    assert (code, told.splitlines()) == (1, [*wanted, f"The realm has drifted: {len(wanted)} differences."])
    code, told = sync(stack)
    assert (code, told.splitlines()) == (0, wanted)
    assert sync(stack, "--check")[0] == 0
    assert "known-to-all" not in told
    assert stack.secret("keycloak-client-parley-api") not in told


def test_a_provider_is_made_by_settings_and_its_secret_is_replaced(stack: Stack) -> None:
    google = {"keycloak_google_client_id": "ours.apps", "keycloak_google_client_secret": "first-secret"}
    assert sync(stack, **google) == (0, "+ identity provider google\n")
    assert sync(stack, "--check", **google)[0] == 0
    code, told = sync(stack, **(google | {"keycloak_google_client_secret": "second-secret"}))
    assert code == 0
    assert told.startswith("~ identity provider google: config.parleySecretFingerprint: another value")
    assert "-secret" not in told
    stack.admin().delete_idp("google")
