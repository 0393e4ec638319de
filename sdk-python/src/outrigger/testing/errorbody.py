"""Bodies of ``response.error`` and of failed plugins, in the formats of the gateway."""

from __future__ import annotations

import json

from .values import REQUEST_ID

_MESSAGES = {
    400: "Bad request", 401: "Unauthorized", 402: "Payment required", 403: "Forbidden", 404: "Not found", 405: "Method not allowed",
    406: "Not acceptable", 407: "Proxy authentication required", 408: "Request timeout", 409: "Conflict", 410: "Gone",
    411: "Length required", 412: "Precondition failed", 413: "Payload too large", 414: "URI too long", 415: "Unsupported media type",
    416: "Range not satisfiable", 417: "Expectation failed", 418: "I'm a teapot", 421: "Misdirected request", 422: "Unprocessable entity",
    423: "Locked", 424: "Failed dependency", 425: "Too early", 426: "Upgrade required", 428: "Precondition required",
    429: "Too many requests", 431: "Request header fields too large", 451: "Unavailable for legal reasons",
    494: "Request header or cookie too large", 500: "An unexpected error occurred", 501: "Not implemented",
    502: "An invalid response was received from the upstream server", 503: "The upstream server is currently unavailable",
    504: "The upstream server is timing out", 505: "HTTP version not supported", 506: "Variant also negotiates",
    507: "Insufficient storage", 508: "Loop detected", 510: "Not extended", 511: "Network authentication required",
}  # fmt: skip

_FORMATS = {
    "text/html": "html", "application/xhtml+xml": "html", "text/xml": "xml", "application/xml": "xml", "text/plain": "plain",
    "text/*": "plain", "application/json": "json", "application/*": "json", "*/*": "json",
}  # fmt: skip

_TYPES = {"html": "text/html", "xml": "application/xml", "plain": "text/plain", "json": "application/json"}


def error_body(status: int, message: str | None, accept: str, explicit: str | None) -> tuple[str, bytes]:
    """Content type and body. An explicit content type decides about the format, else the best of Accept, else it is JSON."""
    chosen = _FORMATS.get(_essence(explicit), "json") if explicit is not None else _best(accept)
    if message is None:
        message = _MESSAGES.get(status, f"The upstream server responded with {status}")
    return f"{_TYPES[chosen]}; charset=utf-8", _render(chosen, message).encode("utf-8", "surrogateescape")


def _essence(media: str) -> str:
    return media.partition(";")[0].strip().lower()


def _best(accept: str) -> str:
    best, highest = "json", 0.0
    for entry in accept.split(","):
        media, _, parameters = entry.partition(";")
        chosen, quality = _FORMATS.get(_essence(media)), _quality(parameters)
        if chosen is not None and quality > highest:
            best, highest = chosen, quality
    return best


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 1.0
    return 1.0


def _render(chosen: str, message: str) -> str:
    escaped = message.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    if chosen == "html":
        return (
            '<!doctype html>\n<html>\n  <head>\n    <meta charset="utf-8">\n    <title>Error</title>\n  </head>\n'
            "  <body>\n    <h1>Error</h1>\n"
            f"    <p>{escaped}.</p>\n    <p>request_id: {REQUEST_ID}</p>\n  </body>\n</html>\n"
        )
    if chosen == "xml":
        head = '<?xml version="1.0" encoding="UTF-8"?>\n'
        return f"{head}<error>\n  <message>{escaped}</message>\n  <requestid>{REQUEST_ID}</requestid>\n</error>\n"
    if chosen == "plain":
        return f"{message}\nrequest_id: {REQUEST_ID}\n"
    return f'{{\n  "message":{json.dumps(message, ensure_ascii=False)},\n  "request_id":"{REQUEST_ID}"\n}}'
