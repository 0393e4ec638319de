"""Functions that change the response which the client gets, and the exits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, cast

from .._gen.functions import FUNCTIONS
from .._values import ExitBody, HeaderMap, HeaderValue, header_key
from .jsontext import sorted_json
from .request_writes import RequestWrites
from .spans import span_operations
from .state import Exit
from .text import bytes_of, check_header_name, check_status, check_text, header_map, header_values
from .values import BadArgument
from .wire import Outcome

_TRANSFER_ENCODING = "transfer-encoding"

_plain_response_names: set[str] = set()
"""Names that response.set_header has checked and that are sent as they are: plugins mostly use constants."""

_MAX_PLAIN_NAMES = 4096

_RESPONSE_WRITE = FUNCTIONS["response.set_header"].phases
_RESPONSE_SET_BODY = FUNCTIONS["response.set_raw_body"].phases


class ResponseWrites(RequestWrites):
    """Writes of ``response``, and its exits."""

    def response_set_status(self, status: int) -> None:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.set_status")
        try:
            checked = check_status(status, 100)
        except BadArgument as err:
            self.bad_argument("response.set_status", err)
        self.record(_RESPONSE_WRITE, "response.set_status", [20, checked])
        self._response_status = checked

    def response_set_header(self, name: str, value: HeaderValue) -> None:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.set_header")
        if type(value) is str and type(name) is str and name in _plain_response_names and value.isascii() and value.isprintable():
            self.operations.append([21, name, [value.strip().encode()]])
            return
        try:
            written = _response_name(name)
            values = header_values(written, value)
        except BadArgument as err:
            self.bad_argument("response.set_header", err)
        if not self._ignored("response.set_header", written):
            self.record(_RESPONSE_WRITE, "response.set_header", [21, written, values])
            if written == name and len(_plain_response_names) < _MAX_PLAIN_NAMES:
                _plain_response_names.add(name)

    def response_add_header(self, name: str, value: HeaderValue) -> None:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.add_header")
        try:
            written = _response_name(name)
            values = header_values(written, value)
        except BadArgument as err:
            self.bad_argument("response.add_header", err)
        if values and not self._ignored("response.add_header", written):
            self.record(_RESPONSE_WRITE, "response.add_header", [22, written, values])

    def response_clear_header(self, name: str) -> None:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.clear_header")
        try:
            written = _response_name(name)
        except BadArgument as err:
            self.bad_argument("response.clear_header", err)
        self.record(_RESPONSE_WRITE, "response.clear_header", [23, written])

    def response_set_headers(self, headers: HeaderMap) -> None:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.set_headers")
        try:
            lines = header_map(headers)
        except BadArgument as err:
            self.bad_argument("response.set_headers", err)
        written = [(name.replace("_", "-"), values) for name, values in lines]
        operations = [[21, name, values] for name, values in written if not self._ignored("response.set_headers", name)]
        self._record_all(_RESPONSE_WRITE, "response.set_headers", operations)

    def response_set_raw_body(self, body: bytes) -> None:
        if not self.bit & _RESPONSE_SET_BODY:
            self.refuse("response.set_raw_body")
        raw = self._body("response.set_raw_body", body)
        self.record(_RESPONSE_SET_BODY, "response.set_raw_body", [24, raw])
        self._client_body = raw

    def _ignored(self, function: str, name: str) -> bool:
        if header_key(name) != _TRANSFER_ENCODING:
            return False
        if self.port.node.log_level <= 3:
            self.port.log(self, 3, f"{function}: Transfer-Encoding is ignored; the gateway chooses it")
        return True

    # exits

    def response_exit(self, status: int, body: ExitBody = None, headers: HeaderMap | None = None) -> NoReturn:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.exit")
        try:
            checked = check_status(status, 100)
            raw, is_json = _exit_body(body)
            cleared, flat = self._exit_headers("response.exit", headers)
        except BadArgument as err:
            self.bad_argument("response.exit", err)
        if raw is not None:
            self._check_body("response.exit", raw)
        if is_json and "content-type" not in (header_key(name) for name in flat[::2]):
            flat += ["Content-Type", b"application/json; charset=utf-8"]
        self._exit("response.exit", cleared, [25, checked, raw, flat])

    def response_error(self, status: int, message: str | None = None, headers: HeaderMap | None = None) -> NoReturn:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.error")
        try:
            checked = check_status(status, 400)
            raw = None if message is None else bytes_of(check_text("message", message)) or None
            cleared, flat = self._exit_headers("response.error", headers)
        except BadArgument as err:
            self.bad_argument("response.error", err)
        self._exit("response.error", cleared, [26, checked, raw, flat])

    def _exit_headers(self, function: str, headers: HeaderMap | None) -> tuple[list[list[Any]], list[Any]]:
        """Clear operations of headers with an empty list, and the lines of the others, flat."""
        cleared: list[list[Any]] = []
        flat: list[Any] = []
        for name, values in header_map(headers) if headers is not None else ():
            written = name.replace("_", "-")
            if not values:
                cleared.append([23, written])
            elif not self._ignored(function, written):
                for value in values:
                    flat += [written, value]
        return cleared, flat

    def _exit(self, function: str, cleared: list[list[Any]], last: list[Any]) -> NoReturn:
        spans = span_operations(self.spans) if self.spans else ()  # before the seal: objects of the plugin in them may raise
        if not self.seal("an exit"):
            self.refuse(function)
        self.port.deliver(self, Outcome(operations=[*self.operations, *cleared, *spans, last]))
        raise Exit


def _response_name(name: object) -> str:
    checked = check_header_name(name)
    return checked.replace("_", "-") if "_" in checked else checked


def _exit_body(body: Any) -> tuple[bytes | None, bool]:
    """Bytes of a body, and whether they are JSON."""
    if body is None:
        return None, False
    if isinstance(body, str):
        return bytes_of(body), False
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(cast("bytes", body)), False
    if not isinstance(body, (Mapping, list, tuple)):
        raise BadArgument(f"body is a {type(body).__name__}; expected None, str, bytes, or a mapping or list that is sent as JSON")
    return sorted_json(cast("Any", body)), True
