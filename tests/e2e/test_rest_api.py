"""The HTTP API on the real mesh: every operation once, each answer held to the OpenAPI document."""

import uuid
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.conftest import Connect
from tests.e2e.mesh import Mesh, token
from tests.integration.edge.rest.api import Api, error_of

As = Callable[[str], Api]


@pytest.fixture
async def api(mesh: Mesh) -> AsyncIterator[As]:
    """The API as a user sees it."""
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{mesh.edges[0].port}") as client:
        yield lambda user_id: Api(client, token(user_id))


def users(*names: str) -> list[str]:
    """Users of this test alone, with what an id may hold: spaces, slashes, other scripts."""
    tail = uuid.uuid4().hex[:8]
    return [f"{name}/ü {tail}" for name in names]


async def test_a_direct_chat_is_one_for_both(api: As, mesh: Mesh, connect: Connect) -> None:
    ada, bob, eve = users("ada", "bob", "eve")
    made = await api(ada).call("createChat", {"userId": bob})
    found = await api(bob).call("createChat", {"userId": ada})
    assert (made.status_code, found.status_code) == (201, 200)
    chat = made.json()["chat"]
    assert found.json()["chat"]["id"] == chat["id"]
    assert chat["type"] == "direct"
    assert sorted(chat["users"]) == sorted([ada, bob])
    assert chat["latestMessage"] is None

    client = await connect(bob, mesh.edges[1])
    ack = await client.say(chat["id"], "hello")
    page = (await api(ada).call("listMessages", chatId=chat["id"])).json()
    assert [message["id"] for message in page["messages"]] == [ack["messageId"]]
    assert page["hasMore"] is False
    (listed,) = (await api(ada).call("listChats")).json()["chats"]
    assert (listed["unread"], listed["latestMessage"]["text"]) == (1, "hello")

    for call in ("getChat", "listMessages"):
        assert error_of(await api(eve).call(call, chatId=chat["id"])) == (403, "NOT_A_MEMBER", False)
        assert error_of(await api(eve).call(call, chatId="0" * 24)) == (403, "NOT_A_MEMBER", False)
    assert error_of(await api(ada).call("leaveChat", chatId=chat["id"])) == (409, "WRONG_CHAT_TYPE", False)
    assert error_of(await api(ada).call("createChat", {"userId": ada})) == (400, "INVALID_ARGUMENT", False)


async def test_the_life_of_a_group(api: As) -> None:
    ada, bob, eve = users("ada", "bob", "eve")
    made = await api(ada).call(
        "createGroup", {"name": "Team", "description": "us", "memberIds": [bob], "avatar": "a.png"}
    )
    group = made.json()["group"]
    assert (group["admin"], group["memberCount"], group["role"]) == (ada, 2, "admin")
    group_id = group["id"]
    assert error_of(await api(bob).call("addMembers", {"userIds": [eve]}, chatId=group_id)) == (
        403,
        "NOT_AN_ADMIN",
        False,
    )
    added = (await api(ada).call("addMembers", {"userIds": [eve, bob]}, chatId=group_id)).json()
    assert (added["addedIds"], added["group"]["memberCount"]) == ([eve], 3)
    assert (await api(eve).call("getChat", chatId=group_id)).status_code == 200

    removed = await api(ada).call("removeMember", chatId=group_id, userId=quote(eve, safe=""))
    assert removed.status_code == 204
    assert error_of(await api(eve).call("getChat", chatId=group_id)) == (403, "NOT_A_MEMBER", False)

    assert (await api(ada).call("leaveChat", chatId=group_id)).status_code == 204
    left = (await api(bob).call("getChat", chatId=group_id)).json()["chat"]
    assert (left["users"], left["admin"]) == ([bob], bob), "the longest member is admin now"


async def test_pages(api: As, mesh: Mesh, connect: Connect) -> None:
    ada, bob = users("ada", "bob")
    chat_id = (await api(ada).call("createChat", {"userId": bob})).json()["chat"]["id"]
    client = await connect(ada, mesh.edges[0])
    for number in range(1, 8):
        await client.say(chat_id, f"message {number}")

    async def page(query: str) -> tuple[list[int], int, bool]:
        answer = (await api(bob).call("listMessages", chatId=chat_id, query=query)).json()
        numbers = [message["number"] for message in answer["messages"]]
        return numbers, answer["messages"][0]["seq"], answer["hasMore"]

    numbers, first, more = await page("?limit=3")
    assert (numbers, more) == ([5, 6, 7], True)
    numbers, first, more = await page(f"?limit=3&before={first}")
    assert (numbers, more) == ([2, 3, 4], True)
    numbers, first, more = await page(f"?limit=3&before={first}")
    assert (numbers, more) == ([1], False)
    assert (await page("?limit=3&page=2"))[0] == [2, 3, 4]


async def test_public_routes(api: As) -> None:
    nobody = api("nobody")
    assert (await nobody.call("getHealth", token="")).json() == {"status": "alive"}
    assert (await nobody.call("getReadiness", token="")).json() == {"ready": True}
    made = await nobody.call("createDevToken", {"userId": "eve"}, token="")
    assert (await nobody.call("listChats", token=made.json()["token"])).status_code == 200
