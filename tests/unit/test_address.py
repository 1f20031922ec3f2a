"""Only declared proxies are believed about where a request comes from."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import RequestFactory
from hypothesis import example, given
from hypothesis import strategies as st

from apps.common.edge import address
from apps.common.edge.address import client_address, parse_address, parse_networks, undeclared_proxy, was_https

PROXIES = parse_networks("10.0.0.0/8, 2001:db8:aaaa::/48,192.0.2.7")


@pytest.fixture(autouse=True)
def trusted(settings: Any) -> None:
    settings.TRUSTED_PROXIES = PROXIES


def request_from(peer: str, **headers: str) -> HttpRequest:
    request = RequestFactory().get("/")
    request.META.update({"REMOTE_ADDR": peer, **{f"HTTP_{name}": value for name, value in headers.items()}})
    return request


@pytest.mark.parametrize(
    ("peer", "chain", "expected"),
    [
        ("203.0.113.5", None, "203.0.113.5"),
        ("203.0.113.5", "198.51.100.1", "203.0.113.5"),
        ("10.1.1.1", None, "10.1.1.1"),
        ("10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.1.1.1", "6.6.6.6, 198.51.100.1, 10.2.2.2", "198.51.100.1"),
        ("10.1.1.1", "10.3.3.3,10.2.2.2", "10.3.3.3"),
        ("10.1.1.1", "6.6.6.6, unknown, 10.2.2.2", "10.2.2.2"),
        ("10.1.1.1", "garbage", "10.1.1.1"),
        ("10.1.1.1", "198.51.100.1:5555", "198.51.100.1"),
        ("10.1.1.1", "[2001:db8::1]:443", "2001:db8::1"),
        ("10.1.1.1", '"[2001:db8::1]"', "2001:db8::1"),
        ("10.1.1.1", "2001:db8:aaaa::5, 2001:DB8:0:0::1", "2001:db8::1"),
        ("2001:db8:aaaa::5", "198.51.100.1, 10.0.0.1", "198.51.100.1"),
        ("::ffff:10.1.1.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("192.0.2.7", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.8", "198.51.100.1", "192.0.2.8"),
        ("10.1.1.1", " , ", "10.1.1.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_the_address_of_the_client(peer: str, chain: str | None, expected: str) -> None:
    request = request_from(peer) if chain is None else request_from(peer, X_FORWARDED_FOR=chain)
    assert client_address(request) == expected


def test_nobody_is_trusted_by_default(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ()
    assert client_address(request_from("127.0.0.1", X_FORWARDED_FOR="6.6.6.6")) == "127.0.0.1"


def test_what_the_middleware_found_stays() -> None:
    request = request_from("203.0.113.5")
    request.client_address = "198.51.100.9"  # type: ignore[attr-defined]
    assert client_address(request) == "198.51.100.9"


addresses = st.ip_addresses().map(str)
anything = st.text(alphabet='0123456789abcdef.:[]% ,x-"', max_size=40) | st.text(max_size=20)


@given(
    claimed=st.lists(addresses | anything, max_size=6), client=addresses, hops=st.lists(st.integers(0, 250), max_size=4)
)
@example(claimed=["6.6.6.6"], client="198.51.100.1", hops=[1])
def test_no_claim_of_the_client_changes_its_address(claimed: list[str], client: str, hops: list[int]) -> None:
    """Whatever the client wrote into the header, each proxy appends the address that it saw."""
    seen = parse_address(client)
    assert seen is not None
    if address.within(seen, PROXIES):
        return
    chain = [*claimed, client, *(f"10.0.0.{hop}" for hop in hops)]
    assert client_address(request_from("10.9.9.9", X_FORWARDED_FOR=", ".join(chain))) == str(seen)


@given(chain=anything, peer=addresses | anything)
def test_garbage_is_never_an_address(chain: str, peer: str) -> None:
    found = client_address(request_from(peer, X_FORWARDED_FOR=chain))
    assert found == "" or str(ip_address(found)) == found


@pytest.mark.parametrize(
    ("peer", "said", "secure"),
    [
        ("10.1.1.1", "https", True),
        ("10.1.1.1", "HTTPS ", True),
        ("10.1.1.1", "http", False),
        ("10.1.1.1", "https,http", False),
        ("10.1.1.1", "http, https", True),
        ("203.0.113.5", "https", False),
    ],
)
def test_tls_is_believed_from_trusted_proxies_alone(peer: str, said: str, secure: bool) -> None:
    assert was_https(request_from(peer, X_FORWARDED_PROTO=said)) is secure


def test_tls_of_our_own() -> None:
    assert was_https(RequestFactory().get("/", secure=True, REMOTE_ADDR="203.0.113.5"))


def test_an_undeclared_proxy_is_noticed() -> None:
    assert undeclared_proxy(request_from("127.0.0.1", X_REAL_IP="1.2.3.4"))
    assert not undeclared_proxy(request_from("127.0.0.1"))
    assert not undeclared_proxy(request_from("10.1.1.1", X_FORWARDED_FOR="1.2.3.4"))


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "proxy.example", "10.0.0.0/8;", "1.2.3.4, x"])
def test_bad_networks_are_refused_without_quoting_them(text: str) -> None:
    with pytest.raises(ValueError, match=r"^item \d is not a network"):
        parse_networks(text)
