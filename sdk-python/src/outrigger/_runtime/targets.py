"""Rules for where a request is sent."""

from __future__ import annotations

import ipaddress
import re
from typing import cast

from .text import check_int, check_text
from .values import BadArgument

_not_host = re.compile(r"[\x00-\x20\x7f/@\[\]]").search

MAX_TARGETS = 16


def check_host(host: object) -> str:
    """A host name or address; an IPv6 one loses its brackets."""
    text = check_text("host", host)
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare or _not_host(bare):
        raise BadArgument(f"host is {text!r}; expected a name or an address without blanks, '/' and '@'")
    if ":" in bare or bare is not text:
        try:
            ipaddress.IPv6Address(bare)
        except ValueError:
            raise BadArgument(f"host is {text!r}; expected a name, or an IPv6 address if it has a colon or brackets") from None
    return bare


def check_targets(targets: object) -> list[str]:
    """At most 16 texts ``host:port``."""
    if not isinstance(targets, (list, tuple)):
        raise BadArgument(f"targets is a {type(targets).__name__}; expected a list of texts such as 'host:8080'")
    found = [_target(target) for target in cast("list[object]", targets)]
    if len(found) > MAX_TARGETS:
        raise BadArgument(f"targets has {len(found)} entries; expected at most {MAX_TARGETS}")
    return found


def _target(target: object) -> str:
    text = check_text("target", target)
    host, colon, port = text.rpartition(":")
    if not colon or (":" in host and not (host.startswith("[") and host.endswith("]"))):
        raise BadArgument(f"target is {text!r}; expected host:port, an IPv6 host in brackets")
    check_host(host)
    if not (port.isascii() and port.isdigit() and len(port) <= 5):
        raise BadArgument(f"target {text!r} has the port {port!r}; expected 1 to 65535")
    check_int(f"port of target {text!r}", int(port), 1, 65535)
    return text


def check_pem(name: str, value: object) -> str:
    """A text with a PEM block, RFC 7468."""
    text = check_text(name, value)
    if "-----BEGIN " not in text:
        raise BadArgument(f"{name} has no PEM block; expected -----BEGIN and so on")
    return text
