"""Keeps the realm itself, its roles, actions and user profile, as they are written down."""

from keycloak import KeycloakAdmin
from keycloak.exceptions import KeycloakGetError

from deploy.keycloak.differences import differences
from deploy.keycloak.ledger import Ledger
from deploy.keycloak.realm import Realm


def keep_realm(admin: KeycloakAdmin, realm: Realm, ledger: Ledger) -> bool:
    """Make or mend the realm; return whether it is there now."""
    name = realm.attributes["realm"]
    try:
        current = admin.get_realm(name)
    except KeycloakGetError as error:
        if error.response_code != 404:
            raise
        return ledger.make(f"realm {name}", lambda: _make_realm(admin, realm))
    found = differences(realm.attributes, current)
    ledger.mend(f"realm {name}", found, lambda: admin.update_realm(name, realm.attributes))
    return True


def _make_realm(admin: KeycloakAdmin, realm: Realm) -> None:
    admin.create_realm(realm.attributes)
    # Our token knows the realms that there were when it was given.
    admin.connection.get_token()


def keep_roles(admin: KeycloakAdmin, realm: Realm, ledger: Ledger) -> None:
    """Make or mend the roles, and what every new user gets."""
    current = {role["name"]: role for role in admin.get_realm_roles(brief_representation=False)}
    for role in realm.roles:
        name = role["name"]
        if name in current:
            found = differences(role, current[name])
            ledger.mend(f"role {name}", found, lambda name=name, role=role: admin.update_realm_role(name, role))  # type: ignore[misc]
        else:
            ledger.make(f"role {name}", lambda role=role: admin.create_realm_role(role))  # type: ignore[misc]
    given = {role["name"] for role in admin.get_realm_default_roles()}
    for name in realm.default_roles:
        if name not in given and (name in current or not ledger.check):
            ledger.make(
                f"role {name} for every new user",
                lambda name=name: admin.add_realm_default_roles([admin.get_realm_role(name)]),  # type: ignore[misc]
            )


def keep_required_actions(admin: KeycloakAdmin, realm: Realm, ledger: Ledger) -> None:
    """Turn the actions on that people may have to take, such as adding a passkey."""
    current = {action["alias"]: action for action in admin.get_required_actions()}
    for action in realm.required_actions:
        alias = action["alias"]
        found = differences(action, current.get(alias, {}))
        ledger.mend(
            f"action {alias}",
            found,
            lambda alias=alias, action=action: admin.update_required_action(alias, current.get(alias, {}) | action),  # type: ignore[misc]
        )


def keep_user_profile(admin: KeycloakAdmin, realm: Realm, ledger: Ledger) -> None:
    """Declare the attributes of a user: those of Parley's profile beside Keycloak's own."""
    current = admin.get_realm_users_profile()
    wanted = {attribute["name"]: attribute for attribute in realm.user_profile["attributes"]}
    there = {attribute["name"]: attribute for attribute in current["attributes"]}
    ledger.mend(
        "user profile", differences(wanted, there), lambda: admin.update_realm_users_profile(realm.user_profile)
    )
