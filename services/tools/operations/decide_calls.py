"""Show calls to people, and let people decide about those that wait for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from services.chassis.errors import PermissionDenied
from services.chassis.owners import Who, organization_in, owner_of
from services.chassis.pagination import HEAVY_PAGE_SIZE, PageTokens
from services.tools.errors import CallNotFound, NotWaiting, OwnCall
from services.tools.ports import CallFilter, Endings, Members, Sight, Transaction, Transactions
from services.tools.rules import ADMINISTRATOR, Call, CallState, Outcome


@dataclass(frozen=True, slots=True)
class DecideCalls:
    """The operations of people on calls.

    Everybody sees the calls of their own tools, also those made before they joined an organisation. Of the calls of an
    organisation's tools its members see those that they asked for; its administrators and owners see all, and decide.
    """

    transactions: Transactions
    page_tokens: PageTokens
    endings: Endings
    members: Members

    async def page(self, who: Who, wanted: CallFilter, size: int, token: str) -> tuple[Sequence[Call], str]:
        """Return a page of the calls that somebody may see, the last one first, and the token of the next one."""
        asked = self.page_tokens.asked(f"calls/{who.owner}/{who.user_id}/{wanted}", size, token, HEAVY_PAGE_SIZE)
        sights = await self._sights(who)
        async with self.transactions.read() as tx:
            found = await tx.calls.page(sights, wanted, asked.last_id, asked.count)
        return asked.of(found, lambda one: one.call_id)

    async def get(self, who: Who, call_id: UUID) -> Call:
        """Return one call. Raises CallNotFound, also when somebody may not see it."""
        sights = await self._sights(who)
        async with self.transactions.read() as tx:
            found = await tx.calls.get(call_id, sights)
        if found is None:
            raise CallNotFound(call_id=call_id)
        return found

    async def approve(self, who: Who, call_id: UUID) -> Call:
        """Let a waiting call be done and return it.

        Raises:
            PermissionDenied: a member who is no administrator may decide about calls of their own tools only.
            CallNotFound, NotWaiting: there is none that waits.
            OwnCall: the caller asked for it, and the organisation's tool does not allow that.
        """
        sights = await self._deciding(who)
        async with self.transactions.begin() as tx:
            call, owner = await _waiting(tx, who, sights, call_id, "ApproveToolCall")
            if call.user_id == who.user_id and organization_in(owner):
                tool = await tx.tools.get(call.tool_id, owner)
                # Of a changed tool another call was asked for: what it allows now, it did not allow then.
                if tool is None or not tool.requester_may_approve or tool.revision != call.tool_revision:
                    raise OwnCall(call_id=call_id)
            if call.approval_until is not None and call.approval_until <= datetime.now(UTC):
                raise NotWaiting(state="too late")
            approved = await tx.calls.approve(call, who.user_id)
        self.transactions.nudge_committed()
        await self.endings.announce(call_id)
        return approved

    async def deny(self, who: Who, call_id: UUID, why: str) -> Call:
        """End a waiting call without doing it, and return it. Raises PermissionDenied, CallNotFound, NotWaiting."""
        outcome = Outcome(CallState.DENIED, "", "DENIED", why or "a person denied the call")
        sights = await self._deciding(who)
        async with self.transactions.begin() as tx:
            await _waiting(tx, who, sights, call_id, "DenyToolCall")
            denied = await tx.calls.end(call_id, outcome, who.user_id)
        await self.endings.announce(call_id)
        return denied

    async def _sights(self, who: Who) -> tuple[Sight, ...]:
        own = Sight(owner_of(who.user_id, ""))
        if not organization_in(who.owner):
            return (own,)
        return own, Sight(who.owner, asked_by="" if await self._is_administrator(who) else who.user_id)

    async def _deciding(self, who: Who) -> tuple[Sight, ...]:
        return tuple(sight for sight in await self._sights(who) if not sight.asked_by)

    async def _is_administrator(self, who: Who) -> bool:
        role = await self.members.role_of(organization_in(who.owner), who.user_id)
        return role >= ADMINISTRATOR


async def _waiting(tx: Transaction, who: Who, sights: Sequence[Sight], call_id: UUID, rpc: str) -> tuple[Call, str]:
    """Return a call that waits, locked, and its owner."""
    for sight in sights:
        call = await tx.calls.get(call_id, (sight,), lock=True)
        if call is None:
            continue
        if call.state is not CallState.WAITING_FOR_APPROVAL:
            raise NotWaiting(state=call.state.value)
        return call, sight.owner
    if who.owner not in [sight.owner for sight in sights]:
        # The same answer whether there is such a call or not.
        raise PermissionDenied(method=rpc, needed="the role admin in the organization")
    raise CallNotFound(call_id=call_id)
