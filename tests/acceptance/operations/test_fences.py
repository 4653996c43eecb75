"""A process that slept through its lease and goes on WHILE another one does the operation: nothing of it counts."""

from datetime import timedelta

from sqlalchemy import text

from services.operations.ports import Lease
from tests.acceptance.operations.conftest import Desk, failed
from tests.acceptance.operations.test_replays import archive, begin, lease


async def _taken_over(desk: Desk) -> tuple[Lease, Lease]:
    first = await lease(desk)
    async with desk.database.transaction() as connection:
        await connection.execute(text("UPDATE operations.operation SET lease_until = now() - interval '1 second'"))
    second = await lease(desk)
    assert first is not None
    assert second is not None
    assert second.fence > first.fence
    return first, second


async def test_a_late_process_does_no_step_beside_its_successor(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(300)])
    operation = await begin(desk)
    late, held = await _taken_over(desk)
    assert await desk.running._step(held) is not None
    sent = await desk.sent()
    assert await desk.running._step(late) is None
    assert await desk.sent() == sent
    now = await desk.operations.get(operation.operation_id)
    assert (now.done, now.has_ended) == (100, False)
    await desk.running.run(held)
    assert (await desk.operations.get(operation.operation_id)).done == 300
    assert len(set(await desk.sent())) == len(await desk.sent()) == 300


async def test_a_late_process_does_not_lengthen_its_successors_lease(desk: Desk) -> None:
    await archive(desk, failed(1))
    await begin(desk)
    late, _ = await _taken_over(desk)
    async with desk.database.transaction() as connection:
        await connection.execute(text("UPDATE operations.operation SET lease_until = now() - interval '1 second'"))
    async with desk.transactions.begin() as tx:
        assert await tx.operations.hold(late, timedelta(hours=1)) is None
    assert await lease(desk) is not None, "a third process waits for nobody"


async def test_a_late_process_does_not_cancel_what_its_successor_does(desk: Desk) -> None:
    await archive(desk, *[failed(number) for number in range(150)])
    operation = await begin(desk)
    late, held = await _taken_over(desk)
    await desk.running._step(held)
    await desk.operations.cancel(operation.operation_id, "ann")
    assert await desk.running._step(late) is None
    assert not (await desk.operations.get(operation.operation_id)).has_ended
    await desk.running.run(held)
    assert (await desk.operations.get(operation.operation_id)).done == 100
