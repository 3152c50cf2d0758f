"""A gRPC service of one method, as generated code would register and call it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import grpc
from google.protobuf.wrappers_pb2 import StringValue

from mesh.rpc.access import ACCESS, ANYBODY, Rules

METHOD = "test.v1.EchoService/Echo"
OPEN: Mapping[str, Rules] = {**ACCESS, "test.v1.EchoService": {"*": ANYBODY}}
"""Everybody may call it."""

Behaviour = Callable[[str], Awaitable[str]]


class EchoServicer:
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def echo(self, request: StringValue, context: object) -> StringValue:
        del context
        return StringValue(value=await self._behaviour(request.value))


def add_to_server(servicer: EchoServicer, server: Any) -> None:
    service, name = METHOD.split("/")
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            servicer.echo,
            request_deserializer=StringValue.FromString,
            response_serializer=StringValue.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_registered_method_handlers(service, handlers)


class EchoStub:
    def __init__(self, channel: Any) -> None:
        self._echo = channel.unary_unary(
            f"/{METHOD}",
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
            _registered_method=True,
        )

    async def echo(self, text: str, **options: Any) -> str:
        answer = await self._echo(StringValue(value=text), **options)
        return str(answer.value)
