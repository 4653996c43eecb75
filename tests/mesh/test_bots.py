"""Somebody makes a bot, tells it something else, and takes that back."""

import pytest

from tests.support.callers import Person, refusal


async def test_a_bot_is_made_changed_and_deleted(ada: Person, stranger: Person) -> None:
    bot = await ada.post("/api/v1/bots", bot={"name": "Tutor", "parameters": {"temperature": 0.2}})
    assert (bot["name"], bot["promptLabel"], bot["etag"]) == ("Tutor", "production", '"1"')
    assert (await ada.get("/api/v1/bots"))["bots"] == [bot]
    assert await ada.get(f"/api/v1/bots/{bot['id']}") == bot
    change = {"params": {"update_mask": "name", "etag": bot["etag"]}, "json": {"name": "Teacher"}}
    changed = await ada.ask("PATCH", f"/api/v1/bots/{bot['id']}", **change)
    assert (changed.json()["name"], changed.json()["etag"]) == ("Teacher", '"2"')
    late = await ada.ask("PATCH", f"/api/v1/bots/{bot['id']}", **change)
    refusal(late, 409, 10, reason="ETAG_MISMATCH")
    foreign = await stranger.ask("GET", f"/api/v1/bots/{bot['id']}")
    refusal(foreign, 404, 5, reason="BOT_NOT_FOUND")
    await ada.delete(f"/api/v1/bots/{bot['id']}")
    changes = (await ada.get("/api/v1/bots:changes", subject_id=bot["id"]))["changes"]
    assert [one["action"] for one in changes] == ["deleted", "updated", "created"]
    assert {one["userId"] for one in changes} == {ada.id}
    refusal(await ada.ask("POST", "/api/v1/bots", json={"bot": {}}), 400, 3, field="bot.name")


async def test_a_prompt_gets_versions_and_a_label_goes_to_and_fro(ada: Person, stranger: Person) -> None:
    prompt = await ada.post("/api/v1/prompts", prompt={"name": "Greeting"})
    path = f"/api/v1/prompts/{prompt['id']}"
    variables = [{"name": "city"}, {"name": "age", "type": "VARIABLE_TYPE_INTEGER", "defaultValue": "7"}]
    for text in ("Talk of {{city}}.", "Talk of {{city}} to a child of {{age}}."):
        await ada.post(f"/api/v1/prompts/{prompt['id']}/versions", text=text, variables=variables)
    versions = (await ada.get(f"/api/v1/prompts/{prompt['id']}/versions"))["versions"]
    assert [one["number"] for one in versions] == [2, 1]
    assert await ada.get(f"/api/v1/prompts/{prompt['id']}/versions/{1}") == versions[1]
    diff = await ada.get(f"/api/v1/prompts/{prompt['id']}/versions:diff", from_version=1, to_version=2)
    assert "+Talk of {{city}} to a child of {{age}}." in diff["text"]
    rendered = await ada.post(f"/api/v1/prompts/{prompt['id']}:render", variables={"city": "Huế"})
    assert rendered == {"text": "Talk of Huế to a child of 7.", "version": 2}
    missing = await ada.ask("POST", f"{path}:render", json={})
    refusal(missing, 400, 3, field="variables", reason="VARIABLE_MISSING")

    label = await ada.post(f"/api/v1/prompts/{prompt['id']}/labels/{'production'}:move", version=1)
    label = await ada.post(f"{path}/labels/production:move", version=2, etag=label["etag"])
    back = await ada.post(f"/api/v1/prompts/{prompt['id']}/labels/{'production'}:rollBack", etag=label["etag"])
    assert (label["version"], back["version"]) == (2, 1)
    assert (await ada.get(f"/api/v1/prompts/{prompt['id']}/labels"))["labels"] == [back]
    late = await ada.ask("POST", f"{path}/labels/production:move", json={"version": 2, "etag": label["etag"]})
    refusal(late, 409, 10, reason="ETAG_MISMATCH")
    undeclared = await ada.ask("POST", f"{path}/versions", json={"text": "{{town}}"})
    refusal(undeclared, 400, 3, field="text", reason="TEMPLATE_INVALID")
    refusal(await stranger.ask("GET", f"{path}/versions/1"), 404, 5, reason="PROMPT_NOT_FOUND")


async def test_a_prompt_in_use_stays(ada: Person) -> None:
    prompt = await ada.post("/api/v1/prompts", prompt={"name": "Greeting"})
    bot = await ada.post("/api/v1/bots", bot={"name": "Tutor", "promptId": prompt["id"]})
    refused = await ada.ask("DELETE", f"/api/v1/prompts/{prompt['id']}")
    refusal(refused, 400, 9, reason="PROMPT_IN_USE")
    await ada.delete(f"/api/v1/bots/{bot['id']}")
    renamed = await ada.ask("PATCH", f"/api/v1/prompts/{prompt['id']}", json={"name": "Hello"})
    assert renamed.json()["name"] == "Hello"
    assert (await ada.get(f"/api/v1/prompts/{prompt['id']}"))["etag"] == '"2"'
    assert len((await ada.get("/api/v1/prompts"))["prompts"]) == 1
    await ada.delete(f"/api/v1/prompts/{prompt['id']}")
    assert (await ada.get("/api/v1/prompts"))["prompts"] == []


async def test_an_application_is_made_changed_and_deleted(ada: Person, stranger: Person) -> None:
    bot = await ada.post("/api/v1/bots", bot={"name": "Tutor"})
    made = await ada.post("/api/v1/applications", application={"name": "Site", "botId": bot["id"]})
    assert await ada.get(f"/api/v1/applications/{made['id']}") == made
    assert (await ada.get("/api/v1/applications"))["applications"] == [made]
    foreign = await stranger.ask("GET", f"/api/v1/applications/{made['id']}")
    refusal(foreign, 404, 5, reason="APPLICATION_NOT_FOUND")
    changed = await ada.ask("PATCH", f"/api/v1/applications/{made['id']}", json={"disabled": True})
    assert changed.json()["disabled"]
    await ada.delete(f"/api/v1/applications/{made['id']}")
    refusal(await ada.ask("GET", f"/api/v1/applications/{made['id']}"), 404, 5, reason="APPLICATION_NOT_FOUND")


@pytest.mark.parametrize("temperature", ["NaN", "Infinity", "-Infinity", 2.1, -0.1, 1e300])
async def test_a_temperature_is_a_number_within_its_range(ada: Person, temperature: object) -> None:
    response = await ada.ask(
        "POST", "/api/v1/bots", json={"bot": {"name": "T", "parameters": {"temperature": temperature}}}
    )
    refusal(response, 400, 3, field="bot.parameters.temperature")
