"""The AsyncAPI 3 document on the WebSocket, made of the types of its frames; a copy is in `docs/`."""

from typing import Any, Final

import msgspec

from edge.protocol.codec import CODECS
from edge.protocol.json_schema import portable
from parley.edge.v1.close_codes import CloseCode
from parley.edge.v1.frames import ACKS, COMMANDS, EVENTS, ErrorFrame, FrameId, ServerFrame

VERSION: Final = "1.0.0"
_SCHEMA: Final = "#/components/schemas/{name}"
_ABOUT: Final = """\
Chats of Parley, live. Frames are JSON objects in text messages, or messages of
`parley.edge.v1` in binary ones.

Order, gaps, coming back and what to do about close codes and errors are in `docs/websocket-protocol.md`. Ids
of chats and messages are 24 lower-case hexadecimal digits, ids of users the `sub` of their tokens. Times are
RFC 3339 in UTC with milliseconds. Ignore events and properties that you do not know.
"""


def document() -> dict[str, Any]:
    """The whole document."""
    frames = [*ACKS.values(), *EVENTS.values(), ErrorFrame]
    shapes, schemas = msgspec.json.schema_components(
        [*COMMANDS.values(), FrameId, *frames], ref_template=_SCHEMA
    )
    data = dict(zip(COMMANDS, shapes, strict=False))
    messages = {event: _command(event, data[event], shapes[len(COMMANDS)]) for event in COMMANDS}
    messages |= {f"{event}-ack": _frame(kind) for event, kind in ACKS.items()}
    messages |= {event: _frame(kind) for event, kind in EVENTS.items()}
    messages["error"] = _frame(ErrorFrame)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Parley",
            "version": VERSION,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "edge": {
                "host": "{host}",
                "protocol": "wss",
                "variables": {"host": {"default": "localhost:8080"}},
                "security": [{"$ref": "#/components/securitySchemes/token"}],
            }
        },
        "channels": {"socket": _channel(messages)},
        "operations": {
            **{_name("receive", event): _request(event) for event in COMMANDS},
            **{_name("send", event): _operation("send", event) for event in EVENTS},
        },
        "components": {
            "messages": messages,
            "schemas": portable(_plain(schemas)),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _channel(messages: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": "/ws",
        "title": "WebSocket",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "bindingVersion": "0.1.0"}},
        "x-subprotocols": list(CODECS),
        "x-close-codes": {str(int(code)): code.reason for code in CloseCode},
    }


def _request(event: str) -> dict[str, Any]:
    answers = [_on_channel(f"{event}-ack"), _on_channel("error")]
    reply = {"channel": {"$ref": "#/channels/socket"}, "messages": answers}
    return {**_operation("receive", event), "reply": reply}


def _operation(action: str, event: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": "#/channels/socket"}, "messages": [_on_channel(event)]}


def _on_channel(message: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{message}"}


def _command(event: str, data: dict[str, Any], frame_id: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": event,
        "summary": _about(COMMANDS[event]),
        "payload": {
            "type": "object",
            "properties": {
                "event": {"const": event},
                "id": {"description": "Yours; the answer repeats it.", **frame_id},
                "traceparent": {
                    "type": "string",
                    "description": "The W3C trace that the frame is a part of.",
                },
                "data": data,
            },
            "required": ["event", "data"],
        },
    }


def _frame(kind: type[ServerFrame]) -> dict[str, Any]:
    return {
        "name": str(kind.__struct_config__.tag),
        "summary": _about(kind),
        "payload": {"$ref": _SCHEMA.format(name=kind.__name__)},
    }


def _about(kind: type) -> str:
    return " ".join((kind.__doc__ or "").split())


def _name(action: str, event: str) -> str:
    return action + "".join(part.capitalize() for part in event.split("-"))


def _plain(schema: Any) -> Any:
    """A schema as AsyncAPI has it: a discriminator is a property alone."""
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {name: _plain(value) for name, value in schema.items()}
    if isinstance(discriminator := plain.get("discriminator"), dict):
        plain["discriminator"] = discriminator["propertyName"]
    return plain
