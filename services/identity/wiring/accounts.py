"""What surrounds the directory: audit, limits, codes, mails, keys."""

import contextlib
from dataclasses import dataclass

from services.chassis.inbox import Inbox
from services.chassis.method_options import known_scopes
from services.chassis.outbox import Outbox
from services.chassis.resources import Resources
from services.chassis.revocations import RevokedSessions
from services.chassis.secrets import SecretMissing
from services.identity.backends.folder_mailer import FolderMailer
from services.identity.backends.outbox_mail_queue import OutboxMailQueue
from services.identity.backends.outbox_notices import OutboxNotices
from services.identity.backends.postgres_api_keys import PostgresApiKeys
from services.identity.backends.postgres_audit_log import PostgresAuditLog
from services.identity.backends.postgres_inbox import PostgresInbox
from services.identity.backends.postgres_invitations import PostgresInvitations
from services.identity.backends.postgres_member_roles import PostgresMemberRoles
from services.identity.backends.postgres_requests import PostgresRequests
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.smtp_mailer import SmtpMailer
from services.identity.backends.tables import INBOX
from services.identity.backends.telling_audit_log import TellingAuditLog
from services.identity.backends.valkey_attempts import ValkeyAttempts
from services.identity.backends.valkey_codes import ValkeyCodes
from services.identity.backends.valkey_ended_sessions import ValkeyEndedSessions
from services.identity.backends.valkey_refresh_answers import ValkeyRefreshAnswers
from services.identity.operations.admit_to_organization import AdmitToOrganization
from services.identity.operations.deliver_notices import DeliverNotices
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Journal
from services.identity.operations.keep_api_keys import KeepApiKeys
from services.identity.operations.keep_invitations import KeepInvitations
from services.identity.operations.keep_members import KeepMembers
from services.identity.operations.keep_organizations import KeepOrganizations
from services.identity.operations.keep_passwords import KeepPasswords
from services.identity.operations.keep_users import KeepUsers
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.operations.list_audit_events import ListAuditEvents
from services.identity.operations.make_admin import MakeAdmin
from services.identity.operations.manage_users import ManageUsers
from services.identity.operations.refresh_session import RefreshSession
from services.identity.operations.register_user import RegisterUser
from services.identity.operations.send_mails import SendMails
from services.identity.operations.sign_in import SignIn
from services.identity.operations.take_over_account import TakeOverAccount
from services.identity.operations.verify_email import VerifyEmail
from services.identity.ports.accounts import Limit, Mailer
from services.identity.ports.directory import Directory
from services.identity.servicer.auth import Auth
from services.identity.servicer.organizations import Organizations
from services.identity.settings import IdentitySettings
from services.identity.wiring.directory import now

_ADMIN_PASSWORD = "identity/admin-password"  # noqa: S105 -- its name, as the next
_SMTP_PASSWORD = "identity/smtp-password"  # noqa: S105 -- its name
_MINUTE = 60
_HOUR = 3600
# Services keep the answer about a key for some seconds: an ended key must be refused for longer than that.
_ENDED_KEY_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Operations:
    """Everything that identity can do."""

    auth: Auth
    managing: ManageUsers
    organizations: Organizations
    api_keys: KeepApiKeys
    audit: ListAuditEvents
    mails: SendMails
    delivery: DeliverNotices
    inbox: Inbox
    admin: MakeAdmin
    journal: Journal


def operations(
    settings: IdentitySettings,
    resources: Resources,
    work: PostgresWork,
    directory: Directory,
    outbox: Outbox,
    told: Outbox,
) -> Operations:
    """Return the operations on a directory. Jobs leave by `outbox`, events by `told`."""
    revoked = RevokedSessions(resources.valkey)
    ended_sessions = ValkeyEndedSessions(revoked, settings.access_token_seconds)
    audit = TellingAuditLog(PostgresAuditLog(work), work, told)
    journal = Journal(work, audit, now, directory_is_ours=settings.directory == "builtin")
    limits = _limits(settings, resources)
    requests, roles, invitations = PostgresRequests(work), PostgresMemberRoles(work), PostgresInvitations(work)
    codes = ValkeyCodes(resources.valkey, resources.settings.secret.get_secret_value())
    queue = OutboxMailQueue(work, outbox)
    inbox = Inbox(resources.database, INBOX)
    stored_keys, ended_keys = PostgresApiKeys(work), ValkeyEndedSessions(revoked, _ENDED_KEY_SECONDS)
    ending_keys = EndApiKeys(work, stored_keys, ended_keys, now)
    ending = EndSessions(directory.sessions, ended_sessions, journal, ending_keys)
    taking_over = TakeOverAccount(work, directory, roles, invitations, ending, ending_keys)
    pages = resources.page_tokens
    answers = ValkeyRefreshAnswers(resources.valkey, settings.refresh_grace_seconds)
    api_keys = KeepApiKeys(
        stored_keys,
        requests,
        directory,
        ended_keys,
        journal,
        pages,
        known_scopes(),
        now,
    )
    admission = AdmitToOrganization(directory, roles)
    return Operations(
        Auth(
            RegisterUser(directory.users, queue, limits, journal),
            SignIn(directory, limits, journal),
            RefreshSession(directory.sessions, answers, ended_sessions, journal),
            ending,
            KeepPasswords(directory, codes, queue, ending, ending_keys, taking_over, limits, journal),
            VerifyEmail(directory.users, codes, queue, limits, journal),
            KeepUsers(directory.users, journal),
        ),
        ManageUsers(directory, ending, ending_keys, journal, pages),
        Organizations(
            KeepOrganizations(directory, roles, invitations, requests, admission, ending, ending_keys, journal, pages),
            KeepMembers(directory, roles, admission, ending, ending_keys, journal, pages),
            KeepInvitations(directory, invitations, roles, requests, queue, admission, limits, journal, pages, now),
            admission,
        ),
        api_keys,
        ListAuditEvents(audit, pages),
        SendMails(directory, codes, invitations, _mailer(settings, resources), now),
        DeliverNotices(work, PostgresInbox(work, inbox), queue, OutboxNotices(work, told)),
        inbox,
        MakeAdmin(directory.users, taking_over, journal, strict=resources.settings.environment != "development"),
        journal,
    )


async def admin_password(settings: IdentitySettings, resources: Resources) -> str:
    """Return the password of the first administrator; empty when none is wanted, or nobody has set it."""
    given = settings.admin_password.get_secret_value()
    if given or not settings.admin_email:
        return given
    try:
        return (await resources.custody.secrets.get(_ADMIN_PASSWORD)).get_secret_value()
    except SecretMissing:
        return ""


def _limits(settings: IdentitySettings, resources: Resources) -> LimitAttempts:
    return LimitAttempts(
        ValkeyAttempts(resources.valkey),
        per_address=Limit(settings.attempts_per_address, _MINUTE),
        per_account=Limit(settings.attempts_per_account, settings.attempts_per_account_seconds),
        mails=Limit(settings.mails_per_hour, _HOUR),
        mails_asked_for=Limit(settings.mails_per_client_per_hour, _HOUR),
        invitations=Limit(settings.invitations_per_hour, _HOUR),
        invitations_of_organization=Limit(settings.invitations_per_organization_per_day, 24 * _HOUR),
    )


def _mailer(settings: IdentitySettings, resources: Resources) -> Mailer:
    if not settings.smtp_host:
        return FolderMailer(resources.settings.home / "mail", settings.mail_from)
    secrets = resources.custody.secrets

    async def password() -> str:
        try:
            return (await secrets.get(_SMTP_PASSWORD)).get_secret_value()
        except SecretMissing:
            return ""

    async def look_again() -> None:
        with contextlib.suppress(SecretMissing):
            await secrets.refresh(_SMTP_PASSWORD)

    return SmtpMailer(
        settings.smtp_host,
        settings.smtp_port,
        settings.smtp_security,
        settings.smtp_username,
        password,
        settings.mail_from,
        look_again,
    )
