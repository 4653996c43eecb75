"""Bots are told with values of the conversation's own, and applications answer with whichever bot they have."""

from tests.support.callers import Event, Json, Person, eventually, refusal

CONVERSATIONS = "/api/v1/chat/conversations"


async def told(person: Person, text: str, *variables: Json) -> Json:
    """Make a bot that is told the text, and return it."""
    prompt = await person.post("/api/v1/prompts", prompt={"name": "Told"})
    await person.post(f"/api/v1/prompts/{prompt['id']}/versions", text=text, variables=variables)
    await person.post(f"/api/v1/prompts/{prompt['id']}/labels/production:move", version=1)
    bot: Json = await person.post("/api/v1/bots", bot={"name": "Told", "promptId": prompt["id"]})
    return bot


async def tell_otherwise(person: Person, bot: Json, text: str, *variables: Json) -> None:
    """Tell the bot another text from now on."""
    path = f"/api/v1/prompts/{bot['promptId']}"
    version = await person.post(f"{path}/versions", text=text, variables=variables)
    (label,) = (await person.get(f"{path}/labels"))["labels"]
    await person.post(f"{path}/labels/production:move", version=version["number"], etag=label["etag"])


async def last_of(person: Person, conversation: str) -> Event:
    """Say one word and return how the answer ends."""
    return (await person.hear(await person.say(conversation, "hello")))[-1]


async def read_words(person: Person, conversation: str) -> int:
    """Say one word and return how many others the model read; the history is of four words for each answer before."""
    before = int((await person.get(conversation))["messageCount"]) // 2
    last = await last_of(person, conversation)
    assert last.kind == "completed", last
    return int(last.data["message"]["metadata"]["inputTokens"]) - 1 - 4 * before


async def test_a_conversation_gives_the_prompt_its_values(ada: Person) -> None:
    bot = await told(ada, "Talk of {{city}}.", {"name": "city"}, {"name": "age", "type": 2, "defaultValue": "7"})
    opened = await ada.post(CONVERSATIONS, botId=bot["id"], promptVariables={"city": "Huế"})
    assert opened["promptVariables"] == {"city": "Huế"}
    conversation = f"{CONVERSATIONS}/{opened['id']}"
    assert await read_words(ada, conversation) == 3
    changed = await ada.ask("PATCH", conversation, json={"promptVariables": {"city": "the old town of Huế"}})
    assert changed.json()["promptVariables"] == {"city": "the old town of Huế"}
    assert await read_words(ada, conversation) == 7
    wrong = await ada.ask("PATCH", conversation, json={"promptVariables": {"city": "Huế", "age": "old"}})
    refusal(wrong, 400, 3, field="prompt_variables", reason="PROMPT_VARIABLE_INVALID")
    assert (await ada.get(conversation))["promptVariables"] == {"city": "the old town of Huế"}


async def test_a_value_that_is_missing_or_unknown_is_named_when_the_conversation_is_opened(ada: Person) -> None:
    bot = await told(ada, "Talk of {{city}}.", {"name": "city"})
    for wanted, named in (
        ({"botId": bot["id"]}, "city needs a value"),
        ({"botId": bot["id"], "promptVariables": {"city": "Huế", "town": "Huế"}}, "town is not a variable"),
        ({"promptVariables": {"city": "Huế"}}, "city is not a variable"),
    ):
        refused = await ada.ask("POST", CONVERSATIONS, json=wanted)
        body = refusal(refused, 400, 3, field="prompt_variables", reason="PROMPT_VARIABLE_INVALID")
        assert named in body["message"]
    many = {f"v{n}": "x" for n in range(51)}
    refused = await ada.ask("POST", CONVERSATIONS, json={"botId": bot["id"], "promptVariables": many})
    refusal(refused, 400, 3, field="prompt_variables")


async def test_a_prompt_that_wants_more_meanwhile_fails_the_run_by_the_name_of_the_variable(ada: Person) -> None:
    bot = await told(ada, "Talk of {{city}}.", {"name": "city"})
    conversation = await ada.open_conversation(botId=bot["id"], promptVariables={"city": "Huế"})
    await tell_otherwise(ada, bot, "Be {{mood}}.", {"name": "mood"})

    async def is_told_otherwise() -> bool:
        ends.append(await last_of(ada, conversation))
        return ends[-1].kind == "failed"

    ends: list[Event] = []
    await eventually(is_told_otherwise, seconds=20, what="the other version")
    error = ends[-1].data["error"]
    assert (error["reason"], "mood needs a value" in error["message"]) == ("PROMPT_VARIABLE_INVALID", True)
    # Values of the version before are no fault of the conversation; a new one is refused when it is given.
    await tell_otherwise(ada, bot, "Be kind.")

    async def answers() -> bool:
        return (await last_of(ada, conversation)).kind == "completed"

    await eventually(answers, seconds=20, what="an answer")
    same = await ada.ask("PATCH", conversation, json={"title": "Still open"})
    assert same.json()["promptVariables"] == {"city": "Huế"}


async def test_an_application_answers_with_whichever_bot_it_has(ada: Person, stranger: Person) -> None:
    brief, long = await told(ada, "Be brief."), await told(ada, "Say as much as you can.")
    application = await ada.post("/api/v1/applications", application={"name": "Site", "botId": brief["id"]})
    path = f"/api/v1/applications/{application['id']}"
    wanted = {"applicationId": application["id"]}
    conversation = await ada.open_conversation(**wanted)
    assert (await ada.get(conversation))["applicationId"] == application["id"]
    assert await read_words(ada, conversation) == 2
    await ada.ask("PATCH", path, json={"botId": long["id"]})

    async def is_long() -> bool:
        return await read_words(ada, conversation) == 6

    await eventually(is_long, seconds=20, what="the other bot")
    refusal(await stranger.ask("POST", CONVERSATIONS, json=wanted), 404, 5, reason="APPLICATION_NOT_FOUND")
    both = await ada.ask("POST", CONVERSATIONS, json=wanted | {"botId": brief["id"]})
    refusal(both, 400, 3, field="application_id")

    await ada.ask("PATCH", path, json={"disabled": True})

    async def is_closed() -> bool:
        return (await last_of(ada, conversation)).kind == "failed"

    await eventually(is_closed, seconds=20, what="the end of answers")
    last = await last_of(ada, conversation)
    assert last.data["error"]["reason"] == "APPLICATION_DISABLED"
    refusal(await ada.ask("POST", CONVERSATIONS, json=wanted), 400, 9, reason="APPLICATION_DISABLED")
