"""Start the jobs whose times have come: each time once, however many schedulers look."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from services.chassis import logs, tracebacks
from services.chassis.identifiers import new_id
from services.operations.errors import ScheduleInvalid
from services.operations.ports import Clock, Transaction, Transactions
from services.operations.rules import Fire, Firing, Job, Schedule, firing, parsed_payload

_log = logs.get(__name__)
_PAUSE_SECONDS = 0.5
_AT_ONCE = 20
_FORGET_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class FireSchedules:
    """Fires, moves on to the next time and sends the job in one transaction, on schedules that it alone has locked."""

    transactions: Transactions
    clock: Clock
    fires_kept: timedelta

    async def keep_firing(self) -> None:
        """Look every half second, for ever. Any number of processes may do so."""
        while True:
            while await self.fire_due() == _AT_ONCE:
                pass
            await asyncio.sleep(_PAUSE_SECONDS)

    async def fire_due(self) -> int:
        """Fire what is due now, and return how many schedules were looked at."""
        now = self.clock()
        async with self.transactions.begin() as tx:
            due = await tx.schedules.due(now, _AT_ONCE)
            for schedule in due:
                decided = _decided(schedule, now)
                for at in decided.due:
                    fire = Fire(new_id(), schedule.schedule_id, manual=False, due_at=at, fired_at=now)
                    if await tx.schedules.add_fire(fire):
                        await send(tx, schedule, fire)
                await tx.schedules.save(replace(schedule, next_at=decided.next_at))
        if due:
            self.transactions.jobs_committed()
            _log.info("schedules fired", schedules=len(due))
        return len(due)

    async def keep_forgetting(self) -> None:
        """Forget old fires, for ever."""
        while True:
            async with self.transactions.begin() as tx:
                await tx.schedules.forget_fires(self.clock() - self.fires_kept)
            await asyncio.sleep(_FORGET_SECONDS)


def _decided(schedule: Schedule, now: datetime) -> Firing:
    try:
        return firing(schedule, now)
    except ScheduleInvalid as error:
        # Its time zone is not known here any more. It must not keep the others from firing.
        _log.error("a schedule cannot go on", schedule_id=str(schedule.schedule_id), cause=tracebacks.told(error))
        return Firing((), None)


async def send(tx: Transaction, schedule: Schedule, fire: Fire) -> None:
    """Send the job of a fire in the transaction of the fire."""
    payload = parsed_payload(schedule.payload)
    await tx.jobs.send(Job(schedule.queue, schedule.actor, payload, str(fire.fire_id)))
