"""Keeps the clients, their protocol mappers and the roles of their service accounts."""

from keycloak import KeycloakAdmin

from deploy.keycloak.differences import differences
from deploy.keycloak.ledger import Ledger
from deploy.keycloak.realm import Json, Realm

_SERVICE_ROLE = "service"


def keep_clients(admin: KeycloakAdmin, realm: Realm, ledger: Ledger) -> None:
    """Make or mend the clients; clients that nobody wrote down are left alone."""
    ids = {client["clientId"]: client["id"] for client in admin.get_clients()}
    for client in realm.clients:
        name = client["clientId"]
        if name not in ids:
            if not ledger.make(f"client {name}", lambda client=client: admin.create_client(client)):  # type: ignore[misc]
                continue
            ids[name] = str(admin.get_client_id(name))
        else:
            _mend_client(admin, ids[name], client, ledger)
        if name in realm.services:
            _keep_service_account(admin, ids, client, realm.management_roles.get(name, ()), ledger)


def _mend_client(admin: KeycloakAdmin, client_uuid: str, client: Json, ledger: Ledger) -> None:
    name = client["clientId"]
    current = admin.get_client(client_uuid)
    plain = {key: value for key, value in client.items() if key != "protocolMappers"}
    merged = plain | {"attributes": current.get("attributes", {}) | plain.get("attributes", {})}
    found = differences(plain, current)
    ledger.mend(f"client {name}", found, lambda: admin.update_client(client_uuid, merged))
    mappers = {mapper["name"]: mapper for mapper in current.get("protocolMappers", [])}
    for mapper in client["protocolMappers"]:
        title = f"mapper {mapper['name']} of client {name}"
        there = mappers.get(mapper["name"])
        if there is None:
            ledger.make(title, lambda mapper=mapper: admin.add_mapper_to_client(client_uuid, mapper))  # type: ignore[misc]
            continue
        ledger.mend(
            title,
            differences(mapper, there),
            lambda mapper=mapper, there=there: admin.update_client_mapper(client_uuid, there["id"], there | mapper),  # type: ignore[misc]
        )


def _keep_service_account(
    admin: KeycloakAdmin, ids: dict[str, str], client: Json, management: tuple[str, ...], ledger: Ledger
) -> None:
    name = client["clientId"]
    user = admin.get_client_service_account_user(ids[name])["id"]
    has = {role["name"] for role in admin.get_realm_roles_of_user(user)}
    if _SERVICE_ROLE not in has:
        ledger.make(
            f"role {_SERVICE_ROLE} of {name}",
            lambda: admin.assign_realm_roles(user, [admin.get_realm_role(_SERVICE_ROLE)]),
        )
    owner = ids["realm-management"]
    given = {role["name"] for role in admin.get_client_roles_of_user(user, owner)}
    for role in management:
        if role not in given:
            ledger.make(
                f"role realm-management/{role} of {name}",
                lambda role=role: admin.assign_client_role(user, owner, [admin.get_client_role(owner, role)]),  # type: ignore[misc]
            )
    for role in sorted(given - set(management)):
        ledger.mend(
            f"client {name}",
            [f"role realm-management/{role}: given -> taken away"],
            lambda role=role: admin.delete_client_roles_of_user(user, owner, [admin.get_client_role(owner, role)]),  # type: ignore[misc]
        )
