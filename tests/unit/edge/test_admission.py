"""Who is let in, where clients come from, and what a slow one is spared."""

import pytest
from pydantic import ValidationError

from edge.addresses import TrustedProxies, parse_networks
from edge.admission import Admission, AdmissionLimits, Ticket
from edge.settings import EdgeSettings
from edge.websocket.backlog import Backlog
from mesh.errors import ResourceExhausted
from mesh.http.places import Places

PLACES = Places(1000)


def _enter(admission: Admission, address: str, places: Places = PLACES) -> Ticket:
    return admission.enter(address, places.enter(None))


def _code(admission: Admission, address: str = "192.0.2.1", places: Places = PLACES) -> str:
    with pytest.raises(ResourceExhausted) as refused:
        admission.enter(address, places.enter(None))
    assert 1000 <= refused.value.retry_after_ms <= 4000
    return refused.value.code


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


def test_so_many_handshakes_may_be_under_way(now: list[float]) -> None:
    admission = Admission(AdmissionLimits(at_once=2, per_second=100), clock=lambda: now[0])
    first, _second = _enter(admission, "a"), _enter(admission, "b")
    assert _code(admission) == "OVERLOADED"
    first.settle()
    third = _enter(admission, "c")
    assert _code(admission) == "OVERLOADED"
    third.leave()
    third.leave()
    third.settle()
    _enter(admission, "d")
    assert _code(admission) == "OVERLOADED"


def test_so_many_may_come_in_a_second_and_refused_ones_cost_nothing(now: list[float]) -> None:
    admission = Admission(AdmissionLimits(at_once=100, per_second=3), clock=lambda: now[0])
    for _ in range(3):
        _enter(admission, "a").leave()
    for _ in range(50):
        assert _code(admission) == "OVERLOADED"
    now[0] += 1 / 3 + 0.001
    _enter(admission, "a")
    assert _code(admission) == "OVERLOADED"


def test_one_address_has_limits_of_its_own(now: list[float]) -> None:
    limits = AdmissionLimits(at_once=100, per_second=100, per_second_per_address=3)
    admission, places = Admission(limits, clock=lambda: now[0]), Places(1000, per_address=2)
    tickets = [_enter(admission, "a", places), _enter(admission, "a", places)]
    tickets[0].settle()
    assert _code(admission, "a", places) == "TOO_MANY_CONNECTIONS"
    _enter(admission, "b", places)
    tickets[0].leave()
    _enter(admission, "a", places).leave()
    assert _code(admission, "a", places) == "RATE_LIMITED"
    assert _code(admission, "a", places) == "RATE_LIMITED", "who was refused is not counted"
    _enter(admission, "b", places)
    now[0] += 1
    _enter(admission, "a", places)


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("198.51.100.7", [], "198.51.100.7"),
        ("198.51.100.7", ["192.0.2.1"], "198.51.100.7"),  # the peer is no proxy of ours: it may say anything
        ("10.0.0.1", ["192.0.2.1"], "192.0.2.1"),
        ("10.0.0.1", ["1.1.1.1, 192.0.2.1"], "192.0.2.1"),  # what stands left of the first stranger is his
        ("10.0.0.1", ["1.1.1.1", "192.0.2.1, 10.0.0.9"], "192.0.2.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["192.0.2.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["192.0.2.1:4711"], "192.0.2.1"),
        ("::ffff:10.0.0.1", ["[2001:db8:1:2:3::4]:4711"], "2001:db8:1:2::/64"),
        ("fd00::1", ["2001:db8:1:2:ffff::9"], "2001:db8:1:2::/64"),
        ("", ["192.0.2.1"], ""),
    ],
)
def test_a_client_is_where_trusted_proxies_say(peer: str, forwarded: list[str], client: str) -> None:
    proxies = TrustedProxies(parse_networks(["10.0.0.0/8", "fd00::1"]))
    assert proxies.client_of(peer, forwarded) == client


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
    ],
)
def test_a_connection_of_a_trusted_proxy_is_counted_later(peer: str, counted: str | None) -> None:
    assert TrustedProxies(parse_networks(["10.0.0.0/8"])).counted_as(peer) == counted


@pytest.mark.parametrize(
    ("peer", "protocol", "forwarded", "secure"),
    [
        ("192.0.2.1", "http", [], False),
        ("192.0.2.1", "https", [], True),
        ("192.0.2.1", "http", ["https"], False),
        ("10.0.0.1", "http", ["https"], True),
        ("10.0.0.1", "http", ["HTTPS "], True),
        ("10.0.0.1", "http", ["http, https"], True),
        ("10.0.0.1", "http", ["https, http"], False),
        ("10.0.0.1", "http", ["https", "http"], False),
        ("10.0.0.1", "https", ["http"], True),
        ("10.0.0.1", "http", ["httpsx"], False),
        ("", "http", ["https"], False),
    ],
)
def test_tls_is_where_trusted_proxies_say(
    peer: str, protocol: str, forwarded: list[str], *, secure: bool
) -> None:
    proxies = TrustedProxies(parse_networks(["10.0.0.0/8"]))
    assert proxies.secure(peer, protocol, forwarded) is secure


def test_a_wrong_network_is_a_wrong_setting() -> None:
    with pytest.raises(ValidationError, match="edge_trusted_proxies"):
        EdgeSettings.model_validate({"edge_trusted_proxies": "10.0.0.1/8"})


def test_a_slow_client_gets_messages_in_order_and_the_latest_of_the_rest() -> None:
    backlog = Backlog()
    backlog.hold(b"one")
    for turn in range(3):
        for user in range(400):
            backlog.hold_latest(f"typing {user}", b"%d %d" % (user, turn))
    backlog.hold(b"two")
    assert backlog.size == 6
    taken = backlog.take()
    assert taken[:2] == [b"one", b"two"]
    assert taken[2:] == [b"%d 2" % user for user in range(256)]
    assert (backlog.take(), backlog.size) == ([], 0)
