"""What a lane knows of the gateway node, from its hello, and the entities that travelled on the lane."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, cast

from .._values import Consumer, Route, Service, consumer_of, route_of, service_of
from .values import Malformed, decode_value
from .wire import HostHello

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Node:
    """Facts of the gateway node and its limits."""

    __slots__ = ("hello", "log_level", "max_body", "max_shared", "trusted")

    def __init__(self, hello: HostHello) -> None:
        self.hello = hello
        self.log_level = hello.log_level
        self.max_body = hello.max_body
        self.max_shared = hello.max_shared
        self.trusted: list[_Network] = [ipaddress.ip_network(text, strict=False) for text in hello.trusted_cidrs or ()]

    def is_trusted(self, address: str) -> bool:
        """Whether an address is inside ``trusted_ips``; False for text that is no address."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip.version == net.version and ip in net for net in self.trusted)


class Entity:
    """A route, service or consumer that came once for the lane; decoded when somebody first asks."""

    __slots__ = ("_document", "_made", "raw")

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._document: Mapping[str, Any] | None = None
        self._made: dict[type, Any] = {}

    def document(self) -> Mapping[str, Any]:
        """The document's fields.

        Raises:
            Malformed: it is no map.
        """
        if self._document is None:
            fields = decode_value(self.raw)
            if not isinstance(fields, dict):
                raise Malformed(f"entity is a {type(fields).__name__}; expected a map")
            self._document = cast("Mapping[str, Any]", fields)
        return self._document

    def route(self) -> Route:
        """The entity as a route."""
        made = self._made.get(Route)
        if made is None:
            made = self._made[Route] = route_of(self.document())
        return made

    def service(self) -> Service:
        """The entity as a service."""
        made = self._made.get(Service)
        if made is None:
            made = self._made[Service] = service_of(self.document())
        return made

    def consumer(self) -> Consumer:
        """The entity as a consumer."""
        made = self._made.get(Consumer)
        if made is None:
            made = self._made[Consumer] = consumer_of(self.document())
        return made
