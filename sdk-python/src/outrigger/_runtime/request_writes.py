"""Functions that change the request which goes upstream."""

from __future__ import annotations

from typing import Any, cast

from .._errors import ArgError, DataError
from .._gen.functions import FUNCTIONS
from .._values import HeaderMap, HeaderValue, QueryMap
from .bodies import write_body
from .lookups import Lookups
from .text import (
    METHODS,
    check_header_name,
    check_raw_query,
    check_text,
    encode_query,
    escape_path,
    good_names,
    header_map,
    header_values,
    text_of,
    without_arg,
)
from .values import BadArgument

_REQUEST_WRITE = FUNCTIONS["service.request.set_header"].phases
_PATH = FUNCTIONS["service.request.set_path"].phases
_SCHEME = FUNCTIONS["service.request.set_scheme"].phases
_BUFFERING = FUNCTIONS["service.request.enable_buffering"].phases


class RequestWrites(Lookups):
    """Writes of ``service.request``, and what the writes of a message share."""

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

    def service_request_clear_query_arg(self, name: str) -> None:
        function = "service.request.clear_query_arg"
        if not self.bit & _REQUEST_WRITE:
            self.refuse(function)
        if not self._text(function, "name", name):
            raise ArgError("name is empty", function=function)
        before = self.request_get_raw_query()
        after = without_arg(before, name)
        if after != before:
            self._set_query(function, after.encode("utf-8", "surrogateescape"))

    def service_request_set_body(self, value: Any, mimetype: str | None = None) -> None:
        function = "service.request.set_body"
        if not self.bit & _REQUEST_WRITE:
            self.refuse(function)
        try:
            sent = self.request_headers().get("content-type")
            media_type = sent if mimetype is None else check_text("mimetype", mimetype) or sent
            if not media_type:
                raise DataError("no media type is given and the request has no Content-Type", function=function)
            raw, content_type = write_body(value, media_type, sent)
            line = header_values("Content-Type", content_type)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._check_body(function, raw)
        self._record_all(_REQUEST_WRITE, function, [[7, raw], [1, "Content-Type", line]])
        self._request_body = raw
