"""Formats of texts: what a setting is to be, with a pattern beside it that the gateway checks. The Go SDK has the same names, and fewer."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Format:
    """A format.

    Attributes:
        expected: What a text must be, in words.
        pattern: Regular expression that says most of it; empty for none.
        valid: Says the rest; None when the pattern is enough.
        name: Its name in JSON Schema, where that is another one.
    """

    expected: str
    pattern: str = ""
    valid: Callable[[str], Any] | None = None
    name: str = ""

    def fits(self, text: str) -> bool:
        """Whether a text has the format."""
        if self.pattern and not re.search(self.pattern, text):
            return False
        if self.valid is None:
            return True
        try:
            return self.valid(text) is not False
        except (ValueError, re.error):
            return False


def _host(text: str) -> bool:
    return ":" not in text or ipaddress.ip_address(text).version == 6


def _network(text: str) -> Any:
    return ipaddress.ip_network(text, strict=False)


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

FORMATS: dict[str, Format] = {
    "cidr": Format("a network such as 10.0.0.0/8", "^[0-9A-Fa-f:.]+/[0-9]{1,3}$", _network),
    "date": Format("a date such as 2024-02-29", r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", datetime.date.fromisoformat),
    "date-time": Format(
        "a time such as 2024-02-29T12:00:00Z",
        r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        lambda text: datetime.datetime.fromisoformat(text.upper()),
    ),
    "email": Format("an e-mail address", rf"^[^@\s]+@{_LABEL}(\.{_LABEL})*$"),
    "header": Format("the name of an HTTP header", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"),
    "host": Format("a host name or an IP address", "^([A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$", _host),
    "ip": Format("an IP address", "^[0-9A-Fa-f:.]+$", ipaddress.ip_address),
    "ipv4": Format("an IPv4 address", "^[0-9.]+$", ipaddress.IPv4Address),
    "ipv6": Format("an IPv6 address", "^[0-9A-Fa-f:.]+$", ipaddress.IPv6Address),
    "method": Format("an HTTP method in upper case", "^[A-Z]+$"),
    "path": Format("a path that begins with /", r"^/[^\s?#]*$"),
    "regex": Format("a regular expression", valid=re.compile),
    "url": Format("a URL that begins with http:// or https://", r"^https?://[^\s/?#@]+([/?#]\S*)?$", name="uri"),
    "uuid": Format("a UUID", "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"),
}
"""Formats of texts by the names that settings give them. The format port is for integers."""

BY_SCHEMA_NAME = {known.name or name: known for name, known in FORMATS.items()}
"""The same by their names in JSON Schema."""
