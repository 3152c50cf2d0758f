"""Settings of the edge. A field `edge_port` is read from `PARLEY_EDGE_PORT`."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from edge.addresses import parse_networks
from edge.identity import IdentitySettings
from edge.rest import RestSettings
from edge.tls import CertificateFiles
from mesh.settings import CommaSeparated, GrpcTarget, Port, PositiveInt, PositiveSeconds, RedisUrl, other_than


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    parse_networks(texts)
    return texts


class EdgeSettings(IdentitySettings, RestSettings):
    """Everything that the edge can be told."""

    redis_url: RedisUrl
    """Where chat_service publishes events."""
    chat_target: GrpcTarget = "dns:///127.0.0.1:50051"
    """Where chat_service answers."""
    notify_target: GrpcTarget = "dns:///127.0.0.1:50053"
    """Where notify_service answers."""
    edge_port: Port = 8080
    """WebSocket and HTTP for clients."""
    edge_admin_port: Annotated[Port, other_than("edge_port")] = 9080
    """Metrics and health; not for the public network."""
    edge_tls_cert_file: Path | None = None
    """Certificate (PEM, with its chain) of the edge's own TLS. Not set: plain HTTP, TLS ends in a proxy."""
    edge_tls_key_file: Path | None = Field(default=None, validate_default=True)
    """The key (PEM) of that certificate. Both files may be replaced at any time."""
    edge_heartbeat_seconds: PositiveSeconds = 25.0
    """How often a client is pinged. One that stays silent from one ping to the next is disconnected."""
    edge_max_frame_bytes: Annotated[int, Field(ge=1024, le=16 << 20)] = 128 * 1024
    """Larger messages of a client end its connection with 1009. A `resume` of 1,000 chats has 70 KiB."""
    edge_max_buffer_bytes: Annotated[int, Field(ge=64 * 1024)] = 1 << 20
    """How much may wait for one client that reads slowly, before it is disconnected with 4009."""
    edge_drain_spread_seconds: PositiveSeconds = 5.0
    """Over this time clients leave an edge that goes away; at most a fifth of `drain_seconds`."""
    edge_handshakes_at_once: PositiveInt = 1000
    """Handshakes under way, up to the welcome; more are turned away with 503 and Retry-After."""
    edge_handshakes_per_second: PositiveSeconds = 1000.0
    """New connections per second in the long run; more are turned away in the same way."""
    edge_connections: Annotated[int, Field(ge=0)] = 0
    """Connections in all, from `accept` on; more get 503. 0: what the descriptors of the process allow."""
    edge_connections_per_address: Annotated[int, Field(ge=0)] = 0
    """Connections from one address (IPv6: one /64), from `accept` on; more get 429. 0: any number."""
    edge_handshakes_per_address: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0
    """Handshakes per second from one address; more get 429. 0: any number."""
    edge_trusted_proxies: Annotated[CommaSeparated, AfterValidator(_networks)] = ()
    """Networks (CIDR) of proxies whose X-Forwarded-For and -Proto are believed; else all clients are one."""
    edge_request_seconds: PositiveSeconds = 20.0
    """How long the head of a request may take, its body, and reading the answer; then it is cut off."""
    edge_idle_seconds: PositiveSeconds = 120.0
    """How long a connection may wait for its next request: longer than a proxy in front keeps it."""
    edge_expiry_warning_seconds: PositiveSeconds = 60.0
    """How long before its token ends a client is told to send a new one."""
    edge_renew_seconds: Annotated[float, Field(gt=0, le=120)] = 60.0
    """How often live sessions are renewed, and revoked ones found; without it one ends after 300 s."""
    edge_probe_seconds: PositiveSeconds = 2.0
    """How often the edge makes sure that its Redis subscription still carries something."""
    edge_resume_entries: PositiveInt = 2000
    """About how many entries one `resume` sends; whoever missed more is told so and asks again."""
    edge_frames_per_second: PositiveSeconds = 50.0
    """How many messages a connection may send in the long run; more are refused with RATE_LIMITED."""
    edge_frames_burst: PositiveInt = 100
    """How many it may send at once. As many again are refused; more are a flood and end it with 4008."""
    edge_frame_bytes: PositiveInt = 2048
    """A message counts once more for each so many bytes of it, for to read it costs as much."""
    edge_bytes_per_second: Annotated[int, Field(ge=16 * 1024)] = 1 << 20
    """How many bytes it may send in the long run. A frame (ping, fragment) counts 256 more, a read 1,024."""
    edge_bytes_burst: Annotated[int, Field(ge=64 * 1024)] = 16 << 20
    """How many at once, at least two of the largest messages; more ends the connection with 4008."""
    edge_client_traces: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    """How many traces per second are recorded because clients have begun them; others are left to chance."""
    edge_send_lanes: Annotated[int, Field(ge=1, le=64)] = 4
    """How many SendMessages calls may be in flight."""
    edge_send_queue: PositiveInt = 10_000
    """How many messages may wait for them; more are refused with OVERLOADED."""
    edge_listen_backlog: PositiveInt = 4096
    """Connections that the kernel may hold until they are accepted, after a restart of a peer edge say."""

    @field_validator("edge_bytes_burst")
    @classmethod
    def _two_messages_are_affordable(cls, burst: int, info: ValidationInfo) -> int:
        if burst < 2 * info.data.get("edge_max_frame_bytes", 0):
            raise ValueError("must be at least twice PARLEY_EDGE_MAX_FRAME_BYTES")
        return burst

    @property
    def edge_certificate(self) -> CertificateFiles | None:
        """The files of the edge's own TLS; None when it is off."""
        if self.edge_tls_cert_file is None or self.edge_tls_key_file is None:
            return None
        return CertificateFiles(self.edge_tls_cert_file, self.edge_tls_key_file)

    @field_validator("edge_tls_key_file")
    @classmethod
    def _the_key_is_the_certificates(cls, key_file: Path | None, info: ValidationInfo) -> Path | None:
        cert_file = info.data.get("edge_tls_cert_file")
        if (cert_file is None) != (key_file is None):
            raise ValueError("goes together with PARLEY_EDGE_TLS_CERT_FILE")
        if cert_file is not None and key_file is not None:
            CertificateFiles(cert_file, key_file).read()
        return key_file
