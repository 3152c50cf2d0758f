"""What a server says about its services to tools that ask it (gRPC server reflection).

The library has the protocol as `grpc.reflection.v1alpha` alone, while newer tools ask for
`grpc.reflection.v1`: the same messages, byte for byte, under another name. So one servicer serves both.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, text_format
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_reflection.v1alpha.reflection import SERVICE_NAME as _ALPHA
from grpc_reflection.v1alpha.reflection import aio

_V1: Final = _ALPHA.replace("v1alpha", "v1")

SERVICE_NAMES: Final = (_ALPHA, _V1)
"""What it is served as."""


def add_reflection(
    add: Callable[[Callable[[Any, Any], None], object], None], services: Iterable[str]
) -> None:
    """Adds it to a server, by the ``add`` of an `RpcServer`, for ``services`` and itself."""
    servicer = aio.ReflectionServicer((*services, *SERVICE_NAMES), pool=_Pool())
    add(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, servicer)
    add(_add_as_v1, servicer)


def _add_as_v1(servicer: Any, server: Any) -> None:
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, _Renaming(server))


class _Renaming:
    """Stands where generated code expects a server, and passes its handlers on under the new name."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """The same handlers come by name too."""

    def add_registered_method_handlers(self, service: str, handlers: Any) -> None:
        """Called by generated code."""
        self._server.add_registered_method_handlers(service.replace(_ALPHA, _V1), handlers)


class _Pool:
    """The pool of all descriptors, which finds methods too (`parley.chat.v1.ChatService.GetChat`)."""

    def __init__(self) -> None:
        self._pool: Any = descriptor_pool.Default()
        _describe_v1(self._pool)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:
        """The file that declares a symbol. Raises KeyError where there is none."""
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            return self._pool.FindMethodByName(symbol).containing_service.file


def _describe_v1(pool: Any) -> None:
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    text = text_format.MessageToString(file).replace("v1alpha", "v1")
    pool.Add(text_format.Parse(text, descriptor_pb2.FileDescriptorProto()))
