"""Keys fetched from a real HTTP server: rotation, outage, withdrawal, nonsense."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from edge.identity import IdentitySettings, open_verifier
from edge.identity.jwks import JwksKeys
from edge.identity.verifier import JwtVerifier, TokenRules
from mesh.errors import Unauthenticated, Unavailable
from mesh.lifecycle import Lifecycle
from tests.unit.edge.identity.conftest import SECRET, Keyring, signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Provider:
    """An identity provider: publishes a key set, or fails as told."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.status = 200
        self.body: bytes | None = None
        self.requests = 0
        self.url = ""
        self.asked = asyncio.Event()

    def answer(self) -> bytes:
        self.requests += 1
        self.asked.set()
        return json.dumps({"keys": self.keys}).encode() if self.body is None else self.body


class KeySetHandler(RequestHandler):
    def initialize(self, provider: Provider) -> None:
        self.provider = provider

    def get(self) -> None:
        self.set_status(self.provider.status)
        _ = self.finish(self.provider.answer())


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    (socket,) = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(Application([("/jwks.json", KeySetHandler, {"provider": made})]))
    server.add_socket(socket)
    made.url = f"http://127.0.0.1:{socket.getsockname()[1]}/jwks.json"
    yield made
    server.stop()
    await server.close_all_connections()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def fetched(url: str, clock: Clock, **settings: Any) -> AsyncIterator[JwtVerifier]:
    async with httpx.AsyncClient() as client:
        yield JwtVerifier(JwksKeys(client, url, clock=clock, **settings), TokenRules())


def jwk(keyring: Keyring, algorithm: str, kid: str | None, **more: object) -> dict[str, Any]:
    public = {
        "RS256": lambda: RSAAlgorithm.to_jwk(keyring.rs256.public_key(), as_dict=True),
        "ES256": lambda: ECAlgorithm.to_jwk(keyring.es256.public_key(), as_dict=True),
        "EdDSA": lambda: OKPAlgorithm.to_jwk(keyring.eddsa.public_key(), as_dict=True),
    }[algorithm]()
    named = {} if kid is None else {"kid": kid}
    return {**public, **named, **more}


async def refused(verifier: JwtVerifier, token: str) -> str:
    with pytest.raises(Unauthenticated) as refusal:
        await verifier.verify(token)
    return refusal.value.code


async def test_each_kind_of_key(provider: Provider, keyring: Keyring) -> None:
    provider.keys = [jwk(keyring, algorithm, algorithm) for algorithm in ("RS256", "ES256", "EdDSA")]
    async with fetched(provider.url, Clock()) as verifier:
        for algorithm in ("RS256", "ES256", "EdDSA"):
            identity = await verifier.verify(signed(keyring.of(algorithm), algorithm, algorithm))
            assert identity.user_id == "ada"
    assert provider.requests == 1


async def test_rotation(provider: Provider, keyring: Keyring) -> None:
    clock = Clock()
    provider.keys = [jwk(keyring, "RS256", "old")]
    async with fetched(provider.url, clock, cooldown_seconds=10) as verifier:
        old, new = signed(keyring.rs256, "RS256", "old"), signed(keyring.es256, "ES256", "new")
        await verifier.verify(old)
        provider.keys = [jwk(keyring, "ES256", "new")]
        assert await refused(verifier, new) == "INVALID_TOKEN", "fetched a moment ago: not again so soon"
        assert (await verifier.verify(old)).user_id == "ada"
        assert provider.requests == 1
        clock.now += 10
        assert (await verifier.verify(new)).user_id == "ada"
        assert provider.requests == 2
        assert await refused(verifier, old) == "INVALID_TOKEN", "remembered, but its key was withdrawn since"


async def test_unknown_keys_do_not_hammer_the_provider(provider: Provider, keyring: Keyring) -> None:
    clock = Clock()
    provider.keys = [jwk(keyring, "RS256", "good")]
    async with fetched(provider.url, clock, cooldown_seconds=10) as verifier:
        made_up = [signed(keyring.es256, "ES256", f"made-up-{n}") for n in range(20)]
        codes = await asyncio.gather(*(refused(verifier, token) for token in made_up))
    assert set(codes) == {"INVALID_TOKEN"}
    assert provider.requests == 1


async def test_the_last_keys_stay_good_while_the_url_is_down(provider: Provider, keyring: Keyring) -> None:
    clock = Clock()
    provider.keys = [jwk(keyring, "RS256", "good")]
    async with fetched(provider.url, clock, cooldown_seconds=10) as verifier:
        await verifier.verify(signed(keyring.rs256, "RS256", "good"))
        for status, body in ((503, None), (200, b"<html>"), (200, b'{"keys":[]}'), (200, b"[" * 5000)):
            provider.status, provider.body = status, body
            clock.now += 60
            assert await refused(verifier, signed(keyring.es256, "ES256", "other")) == "INVALID_TOKEN"
            assert (await verifier.verify(signed(keyring.rs256, "RS256", "good", jti=body and "x"))).user_id
    assert provider.requests == 5


async def test_without_any_key_nothing_is_known(provider: Provider, keyring: Keyring) -> None:
    provider.status = 500
    clock = Clock()
    async with fetched(provider.url, clock) as verifier:
        with pytest.raises(Unavailable) as failure:
            await verifier.verify(signed(keyring.rs256, "RS256", "good"))
        assert failure.value.dependency == "jwks"
        with pytest.raises(Unavailable):
            await verifier.check()
        provider.status, provider.keys = 200, [jwk(keyring, "RS256", "good")]
        clock.now += 60
        assert (await verifier.verify(signed(keyring.rs256, "RS256", "good"))).user_id == "ada"
        await verifier.check()


async def test_a_key_is_only_for_what_it_says(provider: Provider, keyring: Keyring) -> None:
    provider.keys = [
        jwk(keyring, "RS256", "encrypts", use="enc"),
        jwk(keyring, "ES256", "mislabelled", alg="RS256"),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IHNlY3I", "alg": "HS256"},
        jwk(keyring, "EdDSA", "good"),
    ]
    async with fetched(provider.url, Clock()) as verifier:
        assert await refused(verifier, signed(keyring.rs256, "RS256", "encrypts")) == "INVALID_TOKEN"
        assert await refused(verifier, signed(keyring.es256, "ES256", "mislabelled")) == "INVALID_TOKEN"
        shared = "secret secret secret secret secr"
        assert await refused(verifier, signed(shared, "HS256", "shared")) == "INVALID_TOKEN"
        assert await refused(verifier, signed(keyring.es256, "ES256", "good")) == "INVALID_TOKEN"
        assert (await verifier.verify(signed(keyring.eddsa, "EdDSA", "good"))).user_id == "ada"


async def test_narrowed_algorithms(provider: Provider, keyring: Keyring) -> None:
    provider.keys = [jwk(keyring, "RS256", "rsa"), jwk(keyring, "ES256", "ec")]
    async with fetched(provider.url, Clock(), algorithms=("ES256",)) as verifier:
        assert await refused(verifier, signed(keyring.rs256, "RS256", "rsa")) == "INVALID_TOKEN"
        assert (await verifier.verify(signed(keyring.es256, "ES256", "ec"))).user_id == "ada"


async def test_a_token_without_key_id_uses_the_only_key(provider: Provider, keyring: Keyring) -> None:
    clock = Clock()
    provider.keys = [jwk(keyring, "RS256", "one")]
    token = signed(keyring.rs256, "RS256")
    async with fetched(provider.url, clock, cooldown_seconds=1) as verifier:
        assert (await verifier.verify(token)).user_id == "ada"
        provider.keys = [jwk(keyring, "RS256", "one"), jwk(keyring, "ES256", "two")]
        clock.now += 60
        await verifier.verify(signed(keyring.es256, "ES256", "two"))
        assert (await verifier.verify(token)).user_id == "ada", "only one of the two can have signed it"


def another(algorithm: str) -> Keyring:
    """A ring with another key."""
    return Keyring() if algorithm == "RS256" else Keyring(rs256=RING.rs256)


RING = Keyring()


@pytest.mark.parametrize("kid", [None, "same"])
@pytest.mark.parametrize("named_by_token", [None, "same"])
@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_each_key_is_tried_where_ids_do_not_tell(
    provider: Provider, kid: str | None, named_by_token: str | None, algorithm: str
) -> None:
    rings = [RING, another(algorithm), another(algorithm)]
    provider.keys = [jwk(ring, algorithm, kid) for ring in rings[:2]]
    async with fetched(provider.url, Clock()) as verifier:
        for ring in rings[:2]:
            token = signed(ring.of(algorithm), algorithm, named_by_token)
            assert (await verifier.verify(token)).user_id == "ada"
        forged = signed(rings[2].of(algorithm), algorithm, named_by_token)
        assert await refused(verifier, forged) == "INVALID_TOKEN"
        expired = signed(rings[1].of(algorithm), algorithm, named_by_token, exp=1)
        assert await refused(verifier, expired) == "TOKEN_EXPIRED"


async def test_a_token_that_names_a_key_is_not_tried_with_others(
    provider: Provider, keyring: Keyring
) -> None:
    provider.keys = [jwk(keyring, "ES256", "one"), jwk(Keyring(rs256=RING.rs256), "ES256", "two")]
    async with fetched(provider.url, Clock()) as verifier:
        assert await refused(verifier, signed(keyring.es256, "ES256", "two")) == "INVALID_TOKEN"
        assert await refused(verifier, signed(keyring.es256, "ES256", "three")) == "INVALID_TOKEN"


async def test_so_many_keys_are_tried_and_no_more(
    provider: Provider, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.keys = [jwk(Keyring(rs256=RING.rs256), "ES256", None) for _ in range(20)]
    checked: list[object] = []
    decode = jwt.decode

    def counted(token: str, key: Any, **rules: Any) -> dict[str, Any]:
        checked.append(key)
        return decode(token, key, **rules)

    monkeypatch.setattr("edge.identity.verifier.jwt.decode", counted)
    async with fetched(provider.url, Clock()) as verifier:
        assert await refused(verifier, signed(keyring.es256, "ES256")) == "INVALID_TOKEN"
    assert len(checked) == 8


@pytest.mark.parametrize(
    "odd", [None, 7, "key", [], {}, {"kty": "new"}, {"kty": None}, {"kid": None}], ids=str
)
async def test_what_is_no_key_is_skipped(provider: Provider, keyring: Keyring, odd: object) -> None:
    provider.keys = [odd, jwk(keyring, "RS256", "good"), odd]
    async with fetched(provider.url, Clock()) as verifier:
        assert (await verifier.verify(signed(keyring.rs256, "RS256", "good"))).user_id == "ada"


@pytest.mark.parametrize("emptied", [[], [None], [{"kty": "new", "kid": "good"}]], ids=str)
async def test_an_emptied_set_keeps_the_old_keys_and_tells_the_operator_once(
    provider: Provider, keyring: Keyring, emptied: list[object]
) -> None:
    clock = Clock()
    provider.keys = [jwk(keyring, "RS256", "good")]
    async with fetched(provider.url, clock, cooldown_seconds=10) as verifier:
        await verifier.verify(signed(keyring.rs256, "RS256", "good"))
        assert REGISTRY.get_sample_value("parley_edge_jwks_failing") == 0
        provider.keys = emptied
        with capture_logs() as told:
            for turn in range(3):
                clock.now += 60
                await refused(verifier, signed(keyring.es256, "ES256", f"unknown {turn}"))
        assert provider.requests == 4
        (line,) = [line for line in told if line["event"] == "jwks.no_usable_key"]
        assert (line["log_level"], line["keys"], line["kept"]) == ("error", len(emptied), 1)
        assert REGISTRY.get_sample_value("parley_edge_jwks_failing") == 1
        assert (await verifier.verify(signed(keyring.rs256, "RS256", "good", jti="new"))).user_id == "ada"
        provider.keys = [jwk(keyring, "RS256", "good")]
        clock.now += 60
        await refused(verifier, signed(keyring.es256, "ES256", "unknown"))
        assert REGISTRY.get_sample_value("parley_edge_jwks_failing") == 0


async def test_an_oversized_answer_is_not_taken(provider: Provider, keyring: Keyring) -> None:
    provider.keys = [jwk(keyring, "RS256", "good", padding="x" * (1 << 20))]
    async with fetched(provider.url, Clock()) as verifier:
        with pytest.raises(Unavailable):
            await verifier.verify(signed(keyring.rs256, "RS256", "good"))


async def test_a_withdrawn_key_is_noticed_without_a_new_one(provider: Provider, keyring: Keyring) -> None:
    provider.keys = [jwk(keyring, "RS256", "leaked"), jwk(keyring, "ES256", "good")]
    settings = IdentitySettings(
        service_secret=SecretStr(SECRET),
        jwt_jwks_url=provider.url,
        jwt_jwks_refresh_seconds=0.05,
        jwt_jwks_cooldown_seconds=3600,
    )
    lifecycle = Lifecycle()
    try:
        verifier = await open_verifier(settings, lifecycle)
        token = signed(keyring.rs256, "RS256", "leaked")
        async with asyncio.timeout(30):
            await verifier.verify(token)
            del provider.keys[0]
            while True:
                provider.asked.clear()
                try:
                    await verifier.verify(token)
                except Unauthenticated:
                    break
                await provider.asked.wait()
    finally:
        await lifecycle.close(5)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
_JWK = st.dictionaries(
    st.sampled_from(["kty", "kid", "alg", "use", "n", "e", "d", "crv", "x", "y", "k"]),
    _JSON | st.sampled_from(["RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "AQAB", "RS256", "ES256", "sig"]),
)


@hypothesis_settings(max_examples=40)  # an example may be an RSA key, which takes its time
@given(st.lists(_JWK | _JSON, max_size=4))
async def test_any_key_set_is_survived(keys: list[Any]) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(404)))
    source = JwksKeys(client, "http://127.0.0.1:1/")
    source._take(keys)
    if source._keys:
        await source.find("x")
