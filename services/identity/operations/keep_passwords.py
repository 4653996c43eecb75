"""Changing and resetting passwords."""

import secrets
from dataclasses import dataclass
from uuid import UUID

from services.chassis.errors import InvalidFields, Unauthenticated
from services.identity.errors import InvalidCode, InvalidCredentials, UserNotFound
from services.identity.operations.callers import account_of
from services.identity.operations.end_api_keys import EndApiKeys
from services.identity.operations.end_sessions import EndSessions
from services.identity.operations.journal import Entry, Journal
from services.identity.operations.limit_attempts import LimitAttempts
from services.identity.operations.take_over_account import EndedAccess, TakeOverAccount
from services.identity.ports.accounts import Codes, MailQueue
from services.identity.ports.directory import Directory
from services.identity.rules.accounts import Purpose
from services.identity.rules.identifiers import canonical_login
from services.identity.rules.users import NewUser, User, password_fault, unlike_username

_TAIL_BYTES = 4


@dataclass(frozen=True, slots=True)
class KeepPasswords:
    """Changes and resets passwords. All of it raises TooManyAttempts and AttemptsNotCounted."""

    directory: Directory
    codes: Codes
    mails: MailQueue
    ending: EndSessions
    api_keys: EndApiKeys
    taking_over: TakeOverAccount
    limits: LimitAttempts
    journal: Journal

    async def change(self, user_id: UUID, session_id: str, current: str, password: str, *, keep_api_keys: bool) -> int:
        """Replace the caller's password, end the caller's other sessions and return how many.

        API keys end too, unless they are to be kept.

        Raises:
            InvalidCredentials: the current password is wrong.
            InvalidFields: the new one is one that anybody would try.
            Unauthenticated: the caller's user is gone.
        """
        await self.limits.of_account(str(user_id))
        user = await self.directory.users.get(user_id)
        if user is None:
            raise Unauthenticated(cause="the user is gone")
        _check(password, user.email, user.username)
        async with self.journal.recording("password.change", str(user_id)) as entry:
            if not await self.directory.users.password_matches(user_id, current):
                raise InvalidCredentials
            await self.directory.users.set_password(user_id, password)
            ended = await self.ending.end_others(user_id, session_id)
            keys = [] if keep_api_keys else await self.api_keys.end_all(user_id)
            entry.details["api_keys"] = str(len(keys))
        await self.ending.announce(ended)
        await self.api_keys.announce(keys)
        await self.limits.passed(str(user_id))
        return len(ended)

    async def forget(self, email: str) -> None:
        """Have a code sent. Whether anybody has the address, is asked after the answer: nobody can time it."""
        await self.limits.of_address()
        await self.limits.of_mails_asked_for()
        await self.limits.of_mails(email)
        form = canonical_login(email)
        async with self.journal.recording("password.forget", email=form):
            await self.mails.code(Purpose.RESET_PASSWORD, form)

    async def reset(self, email: str, code: str, password: str, username: str) -> None:
        """Replace the password of who was sent the code, and end all sessions and API keys.

        When nobody has verified the address before, it goes to a new user (see TakeOverAccount), whose username is
        the one given, or made from the address.

        Raises:
            InvalidCode: the code is wrong, used, expired or was tried too often, or nobody has the address.
            InvalidFields: the password is one that anybody would try.
            UsernameTaken: another user has the username, or one that looks like it.
        """
        await self.limits.of_address()
        _check(password, email, username)
        async with self.journal.recording("password.reset") as entry:
            user_id, account = await account_of(self.directory.users, email)
            # A code is asked for whether anybody has the address or not: both take the same work.
            if not await self.codes.take(Purpose.RESET_PASSWORD, account, code) or user_id is None:
                raise InvalidCode
            user = await self.directory.users.get(user_id)
            if user is None or not user.is_active:
                raise InvalidCode
            ended = await self._reset(user, password, username, entry)
            entry.details["api_keys"] = str(len(ended.api_key_ids))
        await self.taking_over.announce(ended)

    async def _reset(self, user: User, password: str, username: str, entry: Entry) -> EndedAccess:
        entry.actor_id = entry.subject_id = str(user.user_id)
        if user.email_verified:
            _check(password, user.email, user.username)
            await self.directory.users.set_password(user.user_id, password)
            return await self.taking_over.end_access(user.user_id)
        name = username or unlike_username(user.email, secrets.token_hex(_TAIL_BYTES))
        try:
            made, ended = await self.taking_over.take_over(user, NewUser(user.email, name, password))
        except UserNotFound as error:
            # Another reset, or the verification of the address, was first.
            raise InvalidCode from error
        entry.actor_id = entry.subject_id = str(made.user_id)
        entry.details["replaced_user"] = str(user.user_id)
        return ended


def _check(password: str, email: str, username: str) -> None:
    if fault := password_fault(password, email, username):
        raise InvalidFields([("password", fault)])
