"""Tools learn the contract from a running server, by either name of the protocol."""

import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
import jwt
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from pydantic import SecretStr

from mesh.rpc.server import RpcServer
from parley.chat.v1.chat_service_pb2_grpc import ChatServiceServicer, add_ChatServiceServicer_to_server

SECRET = SecretStr("s" * 32)
NAMES = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")


@pytest.fixture
async def channel() -> AsyncIterator[grpc.aio.Channel]:
    async with RpcServer("chat", SECRET) as server:
        server.add(add_ChatServiceServicer_to_server, ChatServiceServicer())  # type: ignore[abstract]
        port = await server.start("127.0.0.1", 0, field="chat_port")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel


def _call(channel: grpc.aio.Channel, service: str, requests: Iterable[Any], metadata: Any = None) -> Any:
    return channel.stream_stream(
        f"/{service}/ServerReflectionInfo",
        request_serializer=ServerReflectionRequest.SerializeToString,
        response_deserializer=ServerReflectionResponse.FromString,
    )(iter(requests), metadata=metadata)


async def _ask(
    channel: grpc.aio.Channel, service: str, *requests: ServerReflectionRequest
) -> list[ServerReflectionResponse]:
    now = int(time.time())
    token = jwt.encode({"iss": "cli", "aud": "chat", "iat": now, "exp": now + 60}, SECRET.get_secret_value())
    metadata = (("authorization", f"Bearer {token}"),)
    return [answer async for answer in _call(channel, service, requests, metadata)]


@pytest.mark.parametrize("name", NAMES)
async def test_it_lists_the_services(channel: grpc.aio.Channel, name: str) -> None:
    (answer,) = await _ask(channel, name, ServerReflectionRequest(list_services=""))
    listed = {service.name for service in answer.list_services_response.service}
    assert listed == {"parley.chat.v1.ChatService", "grpc.health.v1.Health", *NAMES}


@pytest.mark.parametrize("name", NAMES)
async def test_it_is_for_callers_with_a_token_only(channel: grpc.aio.Channel, name: str) -> None:
    # Nothing is sent on it: gRPC calls a write that meets the refusal an internal error.
    assert await _call(channel, name, ()).code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("parley.chat.v1.ChatService", "parley/chat/v1/chat_service.proto"),
        ("parley.chat.v1.ChatService.GetChat", "parley/chat/v1/chat_service.proto"),
        ("parley.common.v1.Chat", "parley/common/v1/chat.proto"),
        ("parley.common.v1.max_request_bytes", "parley/common/v1/options.proto"),
        ("grpc.health.v1.Health.Check", "health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "reflection/v1alpha/reflection.proto"),
    ],
)
async def test_it_describes(channel: grpc.aio.Channel, name: str, symbol: str, file: str) -> None:
    (answer,) = await _ask(channel, name, ServerReflectionRequest(file_containing_symbol=symbol))
    files = [
        FileDescriptorProto.FromString(proto).name
        for proto in answer.file_descriptor_response.file_descriptor_proto
    ]
    assert files[0].endswith(file)


@pytest.mark.parametrize("symbol", ["parley.chat.v1.ChatService.None", "parley.None", "None", ""])
async def test_what_there_is_not_is_not_found(channel: grpc.aio.Channel, symbol: str) -> None:
    (answer,) = await _ask(channel, NAMES[0], ServerReflectionRequest(file_containing_symbol=symbol))
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
