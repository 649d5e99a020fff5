"""A webhook goes to public addresses only, for any address of an endpoint and any answer of a name server."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from switchyard.api.webhook_target import ForbiddenTarget, PublicResolver, check_address, check_url

PRIVATE = (
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.1.2.3",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:7f00:1::",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fec0::1",
    "::7f00:1",
)
PUBLIC = ("93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946")


@pytest.mark.parametrize("address", PRIVATE)
def test_private_address_is_forbidden(address: str) -> None:
    with pytest.raises(ForbiddenTarget):
        check_address(address, allow_loopback=False)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_address_is_allowed(address: str) -> None:
    check_address(address, allow_loopback=False)


def test_only_loopback_is_added_by_the_configuration() -> None:
    for address in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
        check_address(address, allow_loopback=True)
    for address in set(PRIVATE) - {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}:
        with pytest.raises(ForbiddenTarget):
            check_address(address, allow_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.example/hook",
        "http://acme.example/hook",
        "ftp://acme.example/hook",
        "file:///etc/passwd",
        "https://",
        "https://user:password@acme.example/hook",
        "https://acme.example:99999/",
        "https://[::1",
        *(f"https://[{each}]/" if ":" in each else f"https://{each}/" for each in PRIVATE if "%" not in each),
    ],
)
def test_endpoint_that_is_no_public_https_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"endpoint"):
        check_url(url, allow_loopback=False)


def test_endpoint_on_this_machine_is_for_configurations_that_say_so() -> None:
    for url in ("http://127.0.0.1:8080/hook", "http://localhost:8080/hook"):
        check_url(url, allow_loopback=True)
        with pytest.raises(ValueError, match="https"):
            check_url(url, allow_loopback=False)


class Names(AbstractResolver):
    """A name server in the hands of an attacker."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=each, port=port, family=socket.AF_INET, proto=0, flags=0)
            for each in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize("addresses", [("10.0.0.1",), (PUBLIC[0], "127.0.0.1"), ("no address",)])
async def test_name_that_leads_to_a_private_address_is_not_resolved(addresses: tuple[str, ...]) -> None:
    resolver = PublicResolver(allow_loopback=False, resolver=Names(*addresses))
    with pytest.raises(ForbiddenTarget):
        await resolver.resolve("acme.example", 443)


async def test_name_of_a_public_address_is_resolved_to_what_was_checked() -> None:
    [found] = await PublicResolver(allow_loopback=False, resolver=Names(PUBLIC[0])).resolve("acme.example", 443)
    assert found["host"] == PUBLIC[0]
