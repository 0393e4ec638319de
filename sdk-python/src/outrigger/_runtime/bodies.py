"""Bodies of requests and responses in the media types that the PDK reads and writes: JSON, forms and multipart."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, cast

from .._values import Body
from .jsontext import BadJSON, parse_json, sorted_json
from .text import bytes_of, check_text, encode_query, query_pairs, scalar_text, text_of
from .values import BadArgument

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
MULTIPART = "multipart/form-data"

_TYPES = (FORM, JSON, MULTIPART)

_parameter = re.compile(r"\s*;\s*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s]*))", re.DOTALL)
_quoted_pair = re.compile(r"\\(.)", re.DOTALL)
_token = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+").fullmatch
_blank_line = re.compile(rb"\r?\n\r?\n")
_folding = re.compile(rb"\r?\n[ \t]+")


class BadBody(Exception):
    """A body, or its media type, cannot be parsed; the message says why."""


def essence(media_type: str) -> str:
    """A media type without parameters, lower case."""
    return media_type.partition(";")[0].strip().lower()


def parameter(header: str, wanted: str) -> str:
    """A parameter of a header value such as a media type, quoted or not; empty when it is not there. RFC 9110 section 5.6.6."""
    at = header.find(";")
    while at >= 0:
        found = _parameter.match(header, at)
        if found is None:
            at = header.find(";", at + 1)
            continue
        if found[1].lower() == wanted:
            return found[3] if found[2] is None else _quoted_pair.sub(r"\1", found[2])
        at = header.find(";", found.end())
    return ""


def known_type(media_type: str | None) -> str:
    """The one of the three media types that a media type begins with.

    Raises:
        BadBody: there is none, or it is another.
    """
    if not media_type:
        raise BadBody("missing content type")
    found = essence(media_type)
    for kind in _TYPES:
        if found.startswith(kind):
            return kind
    raise BadBody(f"unsupported content type {found!r}; expected {', '.join(_TYPES)}")


def parse_body(raw: bytes, kind: str, media_type: str, max_args: int) -> Body:
    """Parses a body of one of the three media types; ``media_type`` is the whole one, with its boundary.

    Raises:
        BadBody: the body is no such text.
    """
    if kind == JSON:
        try:
            return Body(parse_json(raw), JSON)
        except BadJSON as err:
            raise BadBody(f"invalid json body: {err}") from None
    if kind == FORM:
        return Body(_by_name(query_pairs(text_of(raw), max_args)[0]), FORM)
    boundary = parameter(media_type, "boundary")
    if not boundary:
        raise BadBody("content type multipart/form-data has no boundary")
    return Body(_by_name(_fields(raw, bytes_of(boundary), max_args)), MULTIPART)


def _by_name(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Values by name; a list where a name is repeated."""
    lists: dict[str, list[Any]] = {}
    for name, value in pairs:
        lists.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in lists.items()}


def _fields(raw: bytes, boundary: bytes, most: int) -> list[tuple[str, str]]:
    """Named parts of a multipart body in order, RFC 7578. Line ends are CRLF or LF."""
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + re.escape(boundary) + rb"(--)?[ \t]*(?=\r?\n|\Z)")
    fields: list[tuple[str, str]] = []
    start = -1
    for found in delimiter.finditer(raw):
        if start >= 0:
            name, value = _part(raw[start : found.start()])
            if name and len(fields) < most:
                fields.append((name, value))
        if found[1]:
            return fields
        start = found.end()
    raise BadBody("invalid multipart body: there is no closing delimiter")


def _part(piece: bytes) -> tuple[str, str]:
    """Name and value of a part; it begins with the line end behind its delimiter."""
    if piece.startswith((b"\n\n", b"\n\r\n", b"\r\n\n", b"\r\n\r\n")):
        return "", ""  # no header, so no name
    end = _blank_line.search(piece)
    if end is None:
        raise BadBody("invalid multipart body: a part has no blank line behind its headers")
    headers = text_of(_folding.sub(b" ", piece[: end.start()]))
    for line in headers.split("\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            return parameter(value, "name"), text_of(piece[end.end() :])
    return "", ""


def write_body(value: Any, media_type: str, request_type: str | None) -> tuple[bytes, str]:
    """Bytes of a value, and the Content-Type to send with them. ``request_type`` is that of the request now; it may know a boundary.

    Raises:
        BadArgument: the media type is another, or the value does not fit it.
    """
    kind = essence(media_type)
    if kind not in _TYPES:
        raise BadArgument(f"media type is {media_type!r}; expected {', '.join(_TYPES)}")
    if kind == JSON:
        if not isinstance(value, (Mapping, list, tuple)):
            raise BadArgument(f"value is a {type(value).__name__}; JSON takes a mapping or a list")
        return sorted_json(value), JSON
    if not isinstance(value, Mapping):
        raise BadArgument(f"value is a {type(value).__name__}; {kind} takes a mapping")
    if kind == FORM:
        return encode_query(cast("Mapping[str, Any]", value)), FORM
    boundary = parameter(media_type, "boundary") or parameter(request_type or "", "boundary")
    return _write_fields(cast("Mapping[Any, Any]", value), boundary)


def _write_fields(value: Mapping[Any, Any], boundary: str) -> tuple[bytes, str]:
    """A given boundary, which the client may know, must not be in the fields: others could be injected."""
    fields = sorted((bytes_of(check_text("field name", name)), _scalar(name, item)) for name, item in value.items())
    if not boundary:
        digest = hashlib.sha256(b"".join(name + b"\0" + item + b"\0" for name, item in fields))
        boundary = "outrigger-" + digest.hexdigest()[:32]
    mark = b"--" + bytes_of(boundary)
    out: list[bytes] = []
    for name, item in fields:
        if mark in name or mark in item:
            raise BadArgument(f"field {text_of(name)!r} holds the boundary {boundary!r}; expected one that is not in the fields")
        escaped = name.replace(b'"', b"%22").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
        out.append(mark + b'\r\nContent-Disposition: form-data; name="' + escaped + b'"\r\n\r\n' + item + b"\r\n")
    out.append(mark + b"--\r\n")
    if not _token(boundary):
        boundary = '"' + boundary.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return b"".join(out), f"{MULTIPART}; boundary={boundary}"


def _scalar(name: str, value: object) -> bytes:
    if isinstance(value, str):
        return bytes_of(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    text = scalar_text(value)
    if text is None:
        raise BadArgument(f"field {name!r} is a {type(value).__name__}; multipart/form-data takes str, bytes, numbers and booleans")
    return text.encode()
