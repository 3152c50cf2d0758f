"""Reads what the databases hold at the end of a run."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import msgspec
from bson import ObjectId

from chaos.evidence import Change, Notified, Stores
from chaos.mesh import Mesh
from chaos.view import Line
from parley.events.v1.chat_event_pb2 import ChatEvent


def read_stores(mesh: Mesh, users: Collection[str]) -> Stores:
    """All that concerns these users and their chats. Blocks; raises PyMongoError when MongoDB is away."""
    parley, notify = mesh.database(), mesh.database("parley_notify")
    of_users = {"userId": {"$in": list(users)}}
    members: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for document in parley.memberships.find(of_users):
        members[str(document["chatId"])][document["userId"]] = document["readSeq"]
    of_chats = {"chatId": {"$in": [ObjectId(chat) for chat in members]}}
    messages: defaultdict[str, list[Line]] = defaultdict(list)
    for document in parley.messages.find(of_chats).sort("seq", 1):
        messages[str(document["chatId"])].append(_line(document))
    changes: defaultdict[str, list[Change]] = defaultdict(list)
    for document in parley.changes.find(of_chats):
        changes[str(document["chatId"])].append(_change(document))
    return Stores(
        messages=messages,
        changes=changes,
        members=members,
        ledger=[
            Notified(user, tuple(map(str, document["messages"])), document["outcome"], document["detail"])
            for document in notify.ledger.find({"users": {"$in": list(users)}})
            for user in document["users"]
            if user in users
        ],
        shown=Counter(slot for slot in _shown(mesh.notify.process.log_path) if slot[0] in users),
    )


def _line(document: dict[str, Any]) -> Line:
    return Line(
        seq=document["seq"],
        number=document["number"],
        message_id=str(document["_id"]),
        sender_id=document["senderId"],
        key=document["clientMsgId"],
        content=document["content"],
    )


def _change(document: dict[str, Any]) -> Change:
    event = ChatEvent.FromString(document["event"])
    return Change(
        seq=document["seq"],
        added=tuple(member.user_id for member in event.members_added.members),
        removed=event.member_removed.user_id,
        void=event.WhichOneof("body") is None,
    )


def _shown(log: Path) -> Iterable[tuple[str, str]]:
    """In development notify_service shows notifications in its log, so that is where they arrive."""
    for text in log.read_bytes().splitlines():
        try:
            line = msgspec.json.decode(text)
        except msgspec.DecodeError:
            continue  # cut off by a kill, or not of the service
        if line.get("event") == "notification.shown":
            yield line["user_id"], line["message_id"]
