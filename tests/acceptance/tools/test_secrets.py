"""A secret goes only where its owner lets it, for whom its owner lets it, and never breaks a job."""

from dataclasses import replace

import pytest

from services.chassis.errors import InvalidFields
from services.chassis.identifiers import new_id
from services.chassis.owners import Who, owner_of
from services.chassis.secret_stores.environment import variable_of
from services.tools.errors import EtagMismatch, SecretNotAllowed, SecretNotFound
from services.tools.operations.request_calls import Origin, Wanted
from services.tools.rules import Call, CallState, HttpSource, SecretHeader, Tool, secret_name
from services.tools.rules.secrets import ToolSecret
from tests.acceptance.tools.conftest import House

HEADER = (SecretHeader("Authorization", "key", "Bearer "),)


def pupil_of(school: str) -> Who:
    """Return a member of an organisation who acts for it."""
    return Who(owner_of("", school), str(new_id()))


async def called(house: House, who: Who, tool: Tool) -> Call:
    """Let somebody's model call a tool of the organisation, and return how that ended."""
    wanted = Wanted(new_id(), tool.tool_id, "{}")
    await house.calls.request([wanted], Origin(who.user_id, who.owner.partition(":")[2]))
    await house.dispatching.dispatch(wanted.call_id)
    (call,) = await house.calls.wait([wanted.call_id], 0)
    return call


async def test_a_secret_that_nothing_is_said_of_is_sent_nowhere(house: House, ann: Who) -> None:
    with pytest.raises(SecretNotAllowed, match="nothing says where"):
        await house.tool(ann, "/order", secret_headers=HEADER)
    await house.allow(ann, "key")
    tool = await house.tool(ann, "/order", secret_headers=HEADER)
    await house.kept_secrets.delete(ann, "key")
    with pytest.raises(SecretNotFound):
        await house.kept_secrets.delete(ann, "key")
    (call,) = await house.done(ann, tool)
    assert (call.state, call.error_reason) == (CallState.FAILED, "SECRET_NOT_ALLOWED")
    assert house.seen.requests == []


async def test_a_secret_goes_to_its_hosts_for_its_methods(house: House, ann: Who) -> None:
    await house.allow(ann, "key", methods=("GET",))
    with pytest.raises(SecretNotAllowed, match="for POST"):
        await house.tool(ann, "/order", secret_headers=HEADER)
    tool = await house.tool(ann, "/order")
    elsewhere = replace(tool, secret_headers=HEADER, source=HttpSource("GET", "https://1.1.1.1/"))
    with pytest.raises(SecretNotAllowed, match="port 443"):
        await house.tools.update(ann, elsewhere, ["secret_headers", "source"], [], "")
    assert (await house.tools.get(ann, tool.tool_id)).secret_headers == ()


async def test_a_secret_is_used_for_its_users_and_roles(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    school = str(new_id())
    teacher, pupil = pupil_of(school), pupil_of(school)
    house.roles = {(school, teacher.user_id): 2, (school, pupil.user_id): 1}
    monkeypatch.setenv(variable_of(secret_name(teacher.owner, "key")), "s3cret")
    await house.allow(teacher, "key")
    tool = await house.tool(teacher, "/order", secret_headers=HEADER)
    assert (await called(house, pupil, tool)).state is CallState.SUCCEEDED
    limits: list[dict[str, object]] = [{"user_ids": (teacher.user_id,)}, {"organization_role": 2}]
    for limit in limits:
        await house.allow(teacher, "key", **limit)
        refused = await called(house, pupil, tool)
        assert (refused.state, refused.error_reason) == (CallState.FAILED, "SECRET_NOT_ALLOWED")
        assert (await called(house, teacher, tool)).state is CallState.SUCCEEDED
    house.roles.clear()
    assert (await called(house, teacher, tool)).error_reason == "SECRET_NOT_ALLOWED"
    assert len(house.seen.requests) == 3


@pytest.mark.parametrize("value", ["two\r\nX-Evil: lines", "ends\n", "nul\x00", "ộ", "\x7f"])
async def test_a_secret_that_is_no_header_fails_its_call_alone(
    house: House, ann: Who, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    await house.allow(ann, "key")
    tool = await house.tool(ann, "/order", secret_headers=HEADER)
    if "\x00" in value:
        value = value.replace("\x00", "\x01")  # no environment holds a NUL
    monkeypatch.setenv(variable_of(secret_name(ann.owner, "key")), value)
    (call,) = await house.done(ann, tool)
    assert (call.state, call.error_reason) == (CallState.FAILED, "SECRET_INVALID")
    assert value not in call.error_message
    assert house.seen.requests == []


async def test_it_is_stored_listed_and_changed_by_who_read_it(house: House, ann: Who, bob: Who) -> None:
    for name in ("b", "a", "c"):
        await house.allow(ann, name)
    first, token = await house.kept_secrets.page(ann, 2, "")
    second, end = await house.kept_secrets.page(ann, 2, token)
    assert ([one.name for one in (*first, *second)], end) == (["a", "b", "c"], "")
    assert (await house.kept_secrets.page(bob, 0, ""))[0] == []
    with pytest.raises(SecretNotFound):
        await house.kept_secrets.get(bob, "a")
    changed = await house.kept_secrets.put(ann, ToolSecret("a", ("*.example.org",)), '"1"')
    assert await house.kept_secrets.get(ann, "a") == changed
    assert (changed.revision, changed.created_at) == (2, first[0].created_at)
    with pytest.raises(EtagMismatch):
        await house.kept_secrets.put(ann, ToolSecret("a", ("example.org",)), '"1"')
    for hosts in ((), ("*.com",), ("example.org:0",), ("example.org:70000",), ("[1.1.1.1]",), ("*.1.1.1",)):
        with pytest.raises(InvalidFields, match="hosts"):
            await house.kept_secrets.put(ann, ToolSecret("a", hosts), "")
