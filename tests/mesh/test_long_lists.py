"""A list of large rows is read to its end by a client with gRPC's default limit of 4 MiB, and by REST."""

import asyncio

from parley.conversations.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub

from tests.support.callers import Person

_MESSAGES = 140
_TEXT = "x" * 32 * 1024


async def test_many_large_messages_are_listed_to_the_last(ada: Person) -> None:
    conversation = await ada.open_conversation()
    stub = MessageServiceStub(ada.edge.channel)
    conversation_id = conversation.rpartition("/")[2]

    async def send(number: int) -> str:
        text = f"{number:03}{_TEXT[3:]}"
        request = SendMessageRequest(conversation_id=conversation_id, text=text)
        return str((await stub.SendMessage(request, metadata=ada.metadata)).message.id)

    sent = [
        one
        for number in range(0, _MESSAGES, 10)
        for one in await asyncio.gather(*map(send, range(number, number + 10)))
    ]
    listed: list[str] = []
    sizes: list[int] = []
    token = ""
    while not sizes or token:
        request = ListMessagesRequest(conversation_id=conversation_id, page_size=1000, page_token=token)
        page = await stub.ListMessages(request, metadata=ada.metadata)
        listed += [message.id for message in page.messages]
        sizes.append(page.ByteSize())
        token = page.next_page_token
    assert len(sizes) > 1
    assert max(sizes) < 4 * 1024 * 1024
    assert len(listed) == len(set(listed))
    assert set(sent) <= set(listed)
    page = await ada.get(f"{conversation}/messages", pageSize=1000)
    assert [message["id"] for message in page["messages"]] == listed[: len(page["messages"])]
    assert page["nextPageToken"]
