"""Formats of texts, by their names in JSON Schema."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Callable
from urllib.parse import urlsplit

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*").fullmatch
_EMAIL = re.compile(r"[^@\s]+@([^@\s]+)").fullmatch
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}").fullmatch
_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})").fullmatch


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return fits


def _regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _uri(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"[\s<>\"{}|\\^`]", text)


def _email(text: str) -> bool:
    found = _EMAIL(text)
    return found is not None and _HOST(found[1]) is not None


FORMATS: dict[str, Callable[[str], bool]] = {
    "date": lambda text: _DATE(text) is not None and _parses(datetime.date.fromisoformat)(text),
    "date-time": lambda text: _DATE_TIME(text) is not None and _parses(datetime.datetime.fromisoformat)(text.upper()),
    "email": _email,
    "hostname": lambda text: len(text) <= 253 and _HOST(text) is not None,
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "regex": _regex,
    "uri": _uri,
    "uuid": lambda text: _UUID(text) is not None,
}
"""Whether a text has a format."""
