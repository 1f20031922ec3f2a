"""Where a request comes from, believing proxies only where TRUSTED_PROXIES names them.

Headers such as X-Forwarded-For can be written by anyone, so they count only on a connection whose other end is a
trusted proxy. The chain is then read from the right, since each proxy appends the address that it saw: the first one
that is not a trusted proxy itself is the client's, and whatever stands to its left is the client's own claim.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import HttpRequest

Address = IPv4Address | IPv6Address
Networks = tuple[IPv4Network | IPv6Network, ...]

# A chain longer than any real one; the rest is not looked at.
MAX_HOPS = 32
# What a proxy adds. On a connection from loopback they betray a proxy that nobody has declared.
PROXY_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA")


def parse_networks(text: str) -> Networks:
    """A comma list of networks or single addresses.

    Raises:
        ValueError: an item is neither, or has bits set beyond its mask; the message counts the items, not quoting them.
    """
    networks: list[IPv4Network | IPv6Network] = []
    for number, item in enumerate(text.split(","), start=1):
        if not item.strip():
            continue
        try:
            networks.append(ip_network(item.strip()))
        except ValueError:
            raise ValueError(
                f"item {number} is not a network such as 10.0.0.0/8 or 2001:db8::/32 (the bits after the mask are zero)"
            ) from None
    return tuple(networks)


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address | None:
    """An address as proxies write it: bare, with a port, in brackets, with a zone; None for anything else.

    An IPv4 address inside IPv6 (`::ffff:192.0.2.1`) is the IPv4 address, so that networks match it.
    """
    text = text.strip().strip('"')
    if text.startswith("["):
        text, closing, port = text[1:].partition("]")
        if not closing or not _is_port_suffix(port):
            return None
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
        if not _is_port_suffix(f":{port}"):
            return None
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _is_port_suffix(text: str) -> bool:
    digits = text[1:]
    return not text or (text[0] == ":" and digits.isascii() and digits.isdigit() and int(digits) <= 65535)


@lru_cache(maxsize=4096)
def within(address: Address | None, networks: Networks) -> bool:
    """Whether the address is in one of the networks."""
    return address is not None and any(address in network for network in networks)


def peer_is_trusted(request: HttpRequest) -> bool:
    """Whether the other end of the connection is a declared proxy, whose word about the client counts."""
    trusted: Networks = settings.TRUSTED_PROXIES
    return bool(trusted) and within(parse_address(request.META.get("REMOTE_ADDR", "")), trusted)


def client_address(request: HttpRequest) -> str:
    """The client's address in its shortest form; empty where the connection has none (a socket file).

    Where the chain holds something that is no address, what stands to its left is unknown: the client is then the
    last proxy before it. A chain of trusted proxies alone begins with the client.
    """
    known: str | None = getattr(request, "client_address", None)
    if known is not None:
        return known
    found = parse_address(request.META.get("REMOTE_ADDR", ""))
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR")
    if forwarded and peer_is_trusted(request):
        found = _from_chain(forwarded, found)
    return "" if found is None else str(found)


def _from_chain(forwarded: str, peer: Address | None) -> Address | None:
    trusted: Networks = settings.TRUSTED_PROXIES
    found = peer
    for item in reversed(forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
        address = parse_address(item)
        if address is None:
            break
        found = address
        if not within(address, trusted):
            break
    return found


def was_https(request: HttpRequest) -> bool:
    """Whether the client speaks TLS: with us, or with a trusted proxy that says so by X-Forwarded-Proto.

    Of several values the right-most counts, which the nearest proxy wrote.
    """
    if request.META.get("wsgi.url_scheme") == "https":
        return True
    said: str = request.META.get("HTTP_X_FORWARDED_PROTO", "")
    return bool(said) and said.rpartition(",")[2].strip().lower() == "https" and peer_is_trusted(request)


def undeclared_proxy(request: HttpRequest) -> bool:
    """Whether the request has passed a proxy that TRUSTED_PROXIES does not name: its address says nothing."""
    return not peer_is_trusted(request) and any(name in request.META for name in PROXY_HEADERS)
