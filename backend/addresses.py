"""Addresses: which of them are our proxies, and which are one client."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

UNKNOWN = "unknown"
"""All clients of which a trusted proxy tells no address: together they are one."""
_WIDEST = {4: 8, 6: 7}
"""Of the private networks. A wider one holds strangers, who would say for themselves who they are."""
_SUBNET = 64
"""Bits of an IPv6 address that a provider gives out whole: the rest is the client's to change at will."""


def parse_networks(value: Any) -> Any:
    """Read addresses and networks, separated by commas, into networks.

    Raises:
        ValueError: one of them is neither, or as good as everybody.
    """
    if not isinstance(value, str):
        return value
    try:
        networks = [ip_network(part.strip()) for part in value.split(",")]
    except ValueError:
        networks = []
    if not networks or any(network.prefixlen < _WIDEST[network.version] for network in networks):
        raise ValueError(
            "takes addresses and networks like 127.0.0.1, 10.0.0.0/8, fd00::/8, separated by commas, none "
            "wider than /8 (IPv6: /7)"
        )
    return tuple(str(network) for network in networks)


def as_sockets_name_them(networks: tuple[str, ...]) -> list[str]:
    """The networks, and how a socket that listens on IPv6 as well names their IPv4 addresses."""
    named = list(networks)
    for network in map(ip_network, networks):
        if isinstance(network, IPv4Network):
            mapped = IPv6Address(b"\0" * 10 + b"\xff\xff" + network.network_address.packed)
            named.append(f"{mapped}/{96 + network.prefixlen}")
    return named


def client_of(host: str | None) -> str:
    """The client behind an address: an IPv4 address, or the network that an IPv6 one is from."""
    try:
        address = ip_address(host or "")
    except ValueError:
        return UNKNOWN
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _SUBNET), strict=False))
