"""One call as the PDK sees it: the runtime object that the generated surface delegates to."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

from .._errors import ArgError
from .._gen.functions import FUNCTIONS
from .._values import (
    Consumer,
    Credential,
    ExitBody,
    HeaderMap,
    HeaderValue,
    QueryMap,
    consumer_document,
    credential_document,
    header_key,
)
from .asks import Asks
from .reads import shared_size
from .state import LOCK, Exit
from .text import (
    METHODS,
    bytes_of,
    check_header_name,
    check_raw_query,
    check_status,
    check_text,
    encode_query,
    escape_path,
    good_names,
    header_map,
    header_values,
    log_text,
    text_of,
)
from .values import BadArgument, encode_value, plain
from .wire import Outcome

_TRANSFER_ENCODING = "transfer-encoding"

_plain_response_names: set[str] = set()
"""Names that response.set_header has checked and that are sent as they are; again, plugins mostly use constants."""

_MAX_PLAIN_NAMES = 4096

_not_text = re.compile("[\ud800-\udfff]")
"""What stands for bytes that are not UTF-8, which JSON has no place for."""


def _mask(function: str) -> int:
    return FUNCTIONS[function].phases


_AUTHENTICATE = _mask("client.authenticate")
_SHARED_SET = _mask("ctx.shared.set")
_SERIALIZE_VALUE = _mask("log.set_serialize_value")
_RESPONSE_WRITE = _mask("response.set_header")
_RESPONSE_SET_BODY = _mask("response.set_raw_body")
_REQUEST_WRITE = _mask("service.request.set_header")
_PATH = _mask("service.request.set_path")
_SCHEME = _mask("service.request.set_scheme")
_BUFFERING = _mask("service.request.enable_buffering")


class Call(Asks):
    """Writes, notices and exits on top of reads and asks."""

    # service.request

    def service_request_enable_buffering(self) -> None:
        if not self.bit & _BUFFERING:
            self.refuse("service.request.enable_buffering")
        self.record(_BUFFERING, "service.request.enable_buffering", [8])

    def service_request_set_scheme(self, scheme: str) -> None:
        if not self.bit & _SCHEME:
            self.refuse("service.request.set_scheme")
        if scheme not in ("http", "https"):
            raise ArgError(f"scheme {scheme!r} is not http or https", function="service.request.set_scheme")
        self.record(_SCHEME, "service.request.set_scheme", [9, scheme])

    def service_request_set_path(self, path: str) -> None:
        if not self.bit & _PATH:
            self.refuse("service.request.set_path")
        try:
            escaped = escape_path(path)
        except BadArgument as err:
            self.bad_argument("service.request.set_path", err)
        self.record(_PATH, "service.request.set_path", [5, escaped])

    def service_request_set_raw_query(self, query: str) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_raw_query")
        try:
            raw = check_raw_query(query)
        except BadArgument as err:
            self.bad_argument("service.request.set_raw_query", err)
        self._set_query("service.request.set_raw_query", raw)

    def service_request_set_query(self, args: QueryMap) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_query")
        try:
            raw = encode_query(args)
        except BadArgument as err:
            self.bad_argument("service.request.set_query", err)
        self._set_query("service.request.set_query", raw)

    def _set_query(self, function: str, raw: bytes) -> None:
        self.record(_REQUEST_WRITE, function, [6, raw])
        self._raw_query = text_of(raw)

    def service_request_set_method(self, method: str) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_method")
        if method not in METHODS:
            raise ArgError(f"method {method!r} is not one of {', '.join(METHODS)}", function="service.request.set_method")
        self.record(_REQUEST_WRITE, "service.request.set_method", [4, method])
        self._method = method

    def service_request_set_header(self, name: str, value: HeaderValue) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_header")
        if type(value) is str and type(name) is str and name in good_names and value.isascii() and value.isprintable():
            self.operations.append([1, name, [value.strip().encode()]])
            return
        try:
            values = header_values(check_header_name(name), value)
        except BadArgument as err:
            self.bad_argument("service.request.set_header", err)
        self.record(_REQUEST_WRITE, "service.request.set_header", [1, name, values])

    def service_request_add_header(self, name: str, value: HeaderValue) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.add_header")
        try:
            values = header_values(check_header_name(name), value)
        except BadArgument as err:
            self.bad_argument("service.request.add_header", err)
        if values:
            self.record(_REQUEST_WRITE, "service.request.add_header", [2, name, values])

    def service_request_clear_header(self, name: str) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.clear_header")
        try:
            check_header_name(name)
        except BadArgument as err:
            self.bad_argument("service.request.clear_header", err)
        self.record(_REQUEST_WRITE, "service.request.clear_header", [3, name])

    def service_request_set_headers(self, headers: HeaderMap) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_headers")
        try:
            lines = header_map(headers)
        except BadArgument as err:
            self.bad_argument("service.request.set_headers", err)
        self._record_all(_REQUEST_WRITE, "service.request.set_headers", [[1, name, values] for name, values in lines])

    def service_request_set_raw_body(self, body: bytes) -> None:
        if not self.bit & _REQUEST_WRITE:
            self.refuse("service.request.set_raw_body")
        raw = self._body("service.request.set_raw_body", body)
        self.record(_REQUEST_WRITE, "service.request.set_raw_body", [7, raw])
        self._request_body = raw

    def _body(self, function: str, body: object) -> bytes:
        if not isinstance(body, (bytes, bytearray, memoryview)):
            raise ArgError(f"body is a {type(body).__name__}; expected bytes", function=function)
        raw = bytes(cast("bytes", body))
        self._check_body(function, raw)
        return raw

    def _check_body(self, function: str, raw: bytes) -> None:
        limit = self.port.node.max_body
        if limit and len(raw) > limit:
            raise ArgError(f"body has {len(raw)} bytes; at most {limit} (max_body) are allowed", function=function)

    def _record_all(self, mask: int, function: str, operations: list[list[Any]]) -> None:
        if not self.bit & mask:
            self.refuse(function)
        self.operations.extend(operations)

    # response

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
        self._exit("response.exit", [*cleared, [25, checked, raw, flat]])

    def response_error(self, status: int, message: str | None = None, headers: HeaderMap | None = None) -> NoReturn:
        if not self.bit & _RESPONSE_WRITE:
            self.refuse("response.error")
        try:
            checked = check_status(status, 400)
            raw = None if message is None else bytes_of(check_text("message", message)) or None
            cleared, flat = self._exit_headers("response.error", headers)
        except BadArgument as err:
            self.bad_argument("response.error", err)
        self._exit("response.error", [*cleared, [26, checked, raw, flat]])

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

    def _exit(self, function: str, operations: list[list[Any]]) -> NoReturn:
        if not self.seal("an exit"):
            self.refuse(function)
        self.port.deliver(self, Outcome(operations=[*self.operations, *operations]))
        raise Exit

    # client, ctx.shared, log

    def client_authenticate(self, consumer: Consumer | None = None, credential: Credential | None = None) -> None:
        function = "client.authenticate"
        if not self.bit & _AUTHENTICATE:
            self.refuse(function)
        if consumer is None and credential is None:
            raise ArgError("consumer and credential are both None", function=function)
        if consumer is not None and not isinstance(consumer, Consumer):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgError(f"consumer is a {type(consumer).__name__}; expected Consumer or None", function=function)
        if credential is not None and not isinstance(credential, Credential):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ArgError(f"credential is a {type(credential).__name__}; expected Credential or None", function=function)
        try:
            fields = None if consumer is None else plain(consumer_document(consumer))
            secret = None if credential is None else plain(credential_document(credential))
        except BadArgument as err:
            self.bad_argument(function, err)
        with LOCK:
            won = self.bit & _AUTHENTICATE
            if won:
                self.operations.append([40, fields, secret])
                self._consumer, self._credential = consumer, credential
        if not won:
            self.refuse(function)

    def ctx_shared_set(self, key: str, value: Any) -> None:
        function = "ctx.shared.set"
        if not self.bit & _SHARED_SET:
            self.refuse(function)
        try:
            bytes_of(check_text("key", key))
            copy = plain(value)
            raw = None if copy is None else encode_value(copy)
        except BadArgument as err:
            self.bad_argument(function, err)
        shared = self.shared()
        limit = self.port.node.max_shared
        with LOCK:
            won = self.bit & _SHARED_SET
            old = shared.get(key)
            size = self._shared_size - (0 if old is None else shared_size(key, old)) + (0 if raw is None else shared_size(key, raw))
            fits = raw is None or not limit or size <= limit
            if won and fits:
                self.operations.append([50, key, copy])
                self._shared_size = size
                if raw is None:
                    shared.pop(key, None)
                else:
                    shared[key] = raw
        if not won:
            self.refuse(function)
        if not fits:
            message = f"with the value under {key!r} ctx.shared would hold {size} bytes; at most {limit} (max_shared) are allowed"
            raise ArgError(message, function=function)

    def log_debug(self, *args: object) -> None:
        self._log("log.debug", 0, args)

    def log_info(self, *args: object) -> None:
        self._log("log.info", 1, args)

    def log_notice(self, *args: object) -> None:
        self._log("log.notice", 2, args)

    def log_warn(self, *args: object) -> None:
        self._log("log.warn", 3, args)

    def log_err(self, *args: object) -> None:
        self._log("log.err", 4, args)

    def log_crit(self, *args: object) -> None:
        self._log("log.crit", 5, args)

    def log_alert(self, *args: object) -> None:
        self._log("log.alert", 6, args)

    def log_emerg(self, *args: object) -> None:
        self._log("log.emerg", 7, args)

    def _log(self, function: str, level: int, args: tuple[object, ...]) -> None:
        if not self.bit:
            self.refuse(function)
        if level >= self.port.node.log_level:
            self.port.log(self, level, log_text(args))

    def log_set_serialize_value(self, key: str, value: Any, mode: str = "set") -> None:
        function = "log.set_serialize_value"
        if not self.bit & _SERIALIZE_VALUE:
            self.refuse(function)
        try:
            bytes_of(check_text("key", key))
            if not key:
                raise BadArgument("key is empty")
            if mode not in ("set", "add", "replace"):
                raise BadArgument(f"mode {mode!r} is not set, add or replace")
            copy = plain(value)
        except BadArgument as err:
            self.bad_argument(function, err)
        self.record(_SERIALIZE_VALUE, function, [60, key, copy, mode])


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
    if isinstance(body, Mapping) and not isinstance(body, dict):
        body = dict(cast("Mapping[Any, Any]", body))
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as err:
        raise BadArgument(f"body has no JSON form: {err}") from None
    return _not_text.sub("\ufffd", text).encode(), True
