"""The parts of the client protocol, found by their names in the schema."""

from dataclasses import dataclass
from typing import Final, Self

from codegen.load import camel, reached
from codegen.schema import Field, Message, Schema

PACKAGE: Final = "parley.edge.v1"


@dataclass(frozen=True, slots=True)
class Protocol:
    """What clients and the edge say. `acks` are what comes of each command, under the command's name."""

    schema: Schema
    frame_id: Message
    commands: tuple[Field, ...]
    events: tuple[Field, ...]
    acks: tuple[Field, ...]
    refusal: Message

    @classmethod
    def of(cls, schema: Schema) -> Self:
        """The protocol that a schema declares in `ClientFrame` and `ServerFrame`."""
        (commands,) = schema.messages[f"{PACKAGE}.ClientFrame"].oneofs
        oneofs = {oneof.name: oneof for oneof in schema.messages[f"{PACKAGE}.ServerFrame"].oneofs}
        (acks,) = schema.messages[f"{PACKAGE}.AckData"].oneofs
        return cls(
            schema=schema,
            frame_id=schema.messages[f"{PACKAGE}.FrameId"],
            commands=commands.fields,
            events=oneofs["event"].fields,
            acks=acks.fields,
            refusal=next(
                schema.message_of(field) for field in oneofs["answer"].fields if field.name == "error"
            ),
        )

    def sent(self) -> list[Message]:
        """Every message inside of commands, and these, the inner ones first."""
        return reached(self.schema, map(self.schema.message_of, self.commands))

    def shown(self) -> list[Message]:
        """Every message inside of events and answers, the inner ones first."""
        fields = (*self.events, *self.acks, *self.refusal.fields)
        found = reached(self.schema, map(self.schema.message_of, fields))
        return [message for message in found if message.full_name != self.frame_id.full_name]


def frame_class(event: Field) -> str:
    """The name of the class of an event's frame."""
    return camel(event.name) + "Frame"


def ack_class(command: Field) -> str:
    """The name of the class of a command's ack."""
    return camel(command.name) + "Ack"
