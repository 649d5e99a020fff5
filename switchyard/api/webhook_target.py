"""Where a webhook may go: public addresses only, checked when they are resolved and connected to as checked."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

_EMBEDS_IPV4 = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16")))
"""Networks whose addresses lead to an IPv4 address that they contain (RFC 6052, 8215, 4380, 3056)."""


class ForbiddenTarget(OSError):
    """The address is not public. The message names no address."""


def check_address(text: str, *, allow_loopback: bool) -> None:
    """Raise `ForbiddenTarget` unless an IP address is public, or loopback where that is allowed."""
    try:
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
    except ValueError:
        raise ForbiddenTarget("what was resolved is no IP address") from None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if allow_loopback and address.is_loopback:
        return
    embeds = isinstance(address, IPv6Address) and any(address in network for network in _EMBEDS_IPV4)
    local = isinstance(address, IPv6Address) and (address.is_site_local or address.is_reserved)
    if not address.is_global or address.is_multicast or embeds or local:
        raise ForbiddenTarget("the endpoint's address is not public")


def check_url(url: str, *, allow_loopback: bool) -> None:
    """Raise `ValueError` for an endpoint that is not https without credentials; plain http is for loopback only. An IP
    address in it is checked at once, and names when they are resolved."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ValueError("the endpoint's address cannot be read: write https://host/path") from None
    if not host or parts.username is not None or parts.password is not None or port == 0:
        raise ValueError("the endpoint's address is invalid: write https://host/path, without credentials")
    literal = _is_address(host)
    plain = parts.scheme == "http" and allow_loopback and (host == "localhost" or literal)
    if parts.scheme != "https" and not plain:
        raise ValueError("the endpoint must be https")
    if literal:
        try:
            check_address(host, allow_loopback=allow_loopback)
        except ForbiddenTarget as error:
            raise ValueError(str(error)) from None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class PublicResolver(AbstractResolver):
    """Resolves names to public addresses. What is connected to is what was checked, so a name that resolves to
    something else a moment later changes nothing."""

    def __init__(self, *, allow_loopback: bool, resolver: AbstractResolver | None = None) -> None:
        self._allow_loopback = allow_loopback
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises `ForbiddenTarget` if one of them is not public."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            check_address(each["host"], allow_loopback=self._allow_loopback)
        return found

    async def close(self) -> None:
        """Close what it resolves with."""
        await self._resolver.close()
