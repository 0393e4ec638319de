"""Functions of class read: answered from the facts, with the writes so far."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, cast

from .._errors import DataError
from .._gen.functions import FUNCTIONS
from .._values import Captures, Consumer, ConsumerGroup, Credential, MultiMap, Query, QueryValue, Route, Service, credential_of, known_keys
from . import shapes
from .headers import UNSOUGHT, HeaderLines
from .state import LOCK, CallState, Unset
from .text import DEFAULT_MAX, check_max, first_args, query_arg, query_pairs, text_of
from .values import BadArgument, Malformed, decode_value

_ROUTED = FUNCTIONS["router.get_route"].phases
_RESPONSE = FUNCTIONS["response.get_status"].phases
_SERVICE_RESPONSE = FUNCTIONS["service.response.get_status"].phases

_EVERY = 1 << 30

_SOURCES = ("service", "exit", "error")


class Reads(CallState):
    """Read functions. Those allowed in every phase only check the seal."""

    def _text(self, function: str, name: str, value: object) -> str:
        if not isinstance(value, str):
            self.bad_argument(function, BadArgument(f"{name} is a {type(value).__name__}; expected str"))
        return value

    def _lines(self, function: str, lines: HeaderLines, max_headers: int) -> MultiMap:
        try:
            limit = check_max("max_headers", max_headers)
        except BadArgument as err:
            self.bad_argument(function, err)
        pairs, truncated = lines.pairs(limit)
        return MultiMap(pairs, truncated=truncated)

    # client

    def client_get_ip(self) -> str:
        if not self.bit:
            self.refuse("client.get_ip")
        return (self._client or self.client()).ip

    def client_get_forwarded_ip(self) -> str:
        if not self.bit:
            self.refuse("client.get_forwarded_ip")
        client = self.client()
        return client.forwarded_ip or client.ip

    def client_get_port(self) -> int:
        if not self.bit:
            self.refuse("client.get_port")
        return self.client().port

    def client_get_forwarded_port(self) -> int | None:
        if not self.bit:
            self.refuse("client.get_forwarded_port")
        return self.client().forwarded_port or None

    def client_get_credential(self) -> Credential | None:
        if not self.bit & _ROUTED:
            self.refuse("client.get_credential")
        credential = self._credential
        if isinstance(credential, Unset):
            try:
                fields = decode_value(self.wire.credential)
                credential = None if fields is None else credential_of(fields)
            except (Malformed, TypeError) as err:
                self.lied("client.get_credential", err)
            self._credential = credential
        return credential

    def client_get_consumer(self) -> Consumer | None:
        if not self.bit & _ROUTED:
            self.refuse("client.get_consumer")
        consumer = self._consumer
        if isinstance(consumer, Unset):
            slot = self.wire.consumer
            try:
                consumer = self._consumer = None if slot is None else self.entity(slot, "client.get_consumer").consumer()
            except (Malformed, TypeError) as err:
                self.lied("client.get_consumer", err)
        return consumer

    def client_get_protocol(self, allow_terminated: bool = False) -> str:
        function = "client.get_protocol"
        if not self.bit & _ROUTED:
            self.refuse(function)
        route = self.router_get_route()
        if route is None:
            raise DataError("no route matched", function=function)
        if len(route.protocols) == 1:
            return route.protocols[0]
        if self.request().scheme != "https" and allow_terminated and self.client().trusted:
            key = "x-forwarded-proto"
            values = [text_of(value) for name, value in self.request_headers().pairs(_EVERY)[0] if name == key]
            if len(values) > 1 or (values and "," in values[0]):
                raise DataError("the request has several X-Forwarded-Proto headers; expected at most one", function=function)
            if values and values[0].lower() == "https":
                return "https"
        return self.request().scheme

    def consumer_groups(self, function: str) -> list[ConsumerGroup]:
        """The consumer groups as the handler sees them now."""
        groups = self._groups
        if groups is None:
            pairs = self.array(self.wire.groups, function) or []
            try:
                groups = [ConsumerGroup(id=text_of(identity), name=text_of(name or "")) for identity, name, *_ in pairs]
            except (TypeError, ValueError, AttributeError) as err:
                self.lied(function, err)
            with LOCK:
                if self._groups is None:
                    self._groups = groups
                groups = self._groups
        return groups

    def client_get_consumer_group(self) -> ConsumerGroup | None:
        if not self.bit & _ROUTED:
            self.refuse("client.get_consumer_group")
        groups = self.consumer_groups("client.get_consumer_group")
        return groups[0] if groups else None

    def client_get_consumer_groups(self) -> list[ConsumerGroup]:
        if not self.bit & _ROUTED:
            self.refuse("client.get_consumer_groups")
        return list(self.consumer_groups("client.get_consumer_groups"))

    # router

    def router_get_route(self) -> Route | None:
        if not self.bit & _ROUTED:
            self.refuse("router.get_route")
        slot = self.wire.route
        try:
            return None if slot is None else self.entity(slot, "router.get_route").route()
        except (Malformed, TypeError) as err:
            self.lied("router.get_route", err)

    def router_get_service(self) -> Service | None:
        if not self.bit & _ROUTED:
            self.refuse("router.get_service")
        slot = self.wire.service
        try:
            return None if slot is None else self.entity(slot, "router.get_service").service()
        except (Malformed, TypeError) as err:
            self.lied("router.get_service", err)

    # request

    def request_get_scheme(self) -> str:
        if not self.bit:
            self.refuse("request.get_scheme")
        return (self._request or self.request()).scheme

    def request_get_host(self) -> str:
        if not self.bit:
            self.refuse("request.get_host")
        return (self._request or self.request()).host

    def request_get_port(self) -> int:
        if not self.bit:
            self.refuse("request.get_port")
        return (self._request or self.request()).port

    def _forward(self) -> list[Any] | None:
        forwarded = self._forwarded
        if isinstance(forwarded, Unset):
            forwarded = self._forwarded = self.array(self.wire.forwarded, "request.get_forwarded_*", shapes.FORWARDED)
        return forwarded

    def request_get_forwarded_scheme(self) -> str:
        if not self.bit:
            self.refuse("request.get_forwarded_scheme")
        forwarded = self._forward()
        return self.request().scheme if forwarded is None else text_of(forwarded[0])

    def request_get_forwarded_host(self) -> str:
        if not self.bit:
            self.refuse("request.get_forwarded_host")
        forwarded = self._forward()
        return self.request().host if forwarded is None else text_of(forwarded[1])

    def request_get_forwarded_port(self) -> int:
        if not self.bit:
            self.refuse("request.get_forwarded_port")
        forwarded = self._forward()
        return self.request().port if forwarded is None else forwarded[2]

    def request_get_forwarded_path(self) -> str:
        if not self.bit:
            self.refuse("request.get_forwarded_path")
        forwarded = self._forward()
        return self.request_get_path() if forwarded is None else text_of(forwarded[3])

    def request_get_forwarded_prefix(self) -> str | None:
        if not self.bit:
            self.refuse("request.get_forwarded_prefix")
        forwarded = self._forward()
        return None if forwarded is None or forwarded[4] is None else text_of(forwarded[4])

    def request_get_http_version(self) -> float:
        if not self.bit:
            self.refuse("request.get_http_version")
        return self.request().http_version / 10

    def request_get_method(self) -> str:
        if not self.bit:
            self.refuse("request.get_method")
        return self._method or (self._request or self.request()).method

    def request_get_path(self) -> str:
        if not self.bit:
            self.refuse("request.get_path")
        path = self._path
        if path is None:
            raw = (self._request or self.request()).path
            path = self._path = self.request_get_raw_path() if raw is None else text_of(raw)
        return path

    def request_get_raw_path(self) -> str:
        if not self.bit:
            self.refuse("request.get_raw_path")
        return text_of(self.request().target).partition("?")[0]

    def request_get_path_with_query(self) -> str:
        if not self.bit:
            self.refuse("request.get_path_with_query")
        return text_of(self.request().target)

    def request_get_raw_query(self) -> str:
        if not self.bit:
            self.refuse("request.get_raw_query")
        return self._query()

    def _query(self) -> str:
        """The query as it stands now."""
        query = self._raw_query
        if query is None:
            query = self._sent_query
        if query is None:
            request = self.request()
            query = text_of(request.target).partition("?")[2] if request.raw_query is None else text_of(request.raw_query)
            self._sent_query = query
        return query

    def request_get_query_arg(self, name: str) -> QueryValue | None:
        if not self.bit:
            self.refuse("request.get_query_arg")
        if type(name) is not str:
            name = self._text("request.get_query_arg", "name", name)
        query, known = self._query(), self._args
        if known is None or known[0] is not query:
            self._args = (query, None)
            return query_arg(query, name)
        args = known[1]
        if args is None:  # the second look: from now on they are known
            args = first_args(query)
            self._args = (query, args)
        return args.get(name)

    def request_get_query(self, max_args: int = DEFAULT_MAX) -> Query:
        if not self.bit:
            self.refuse("request.get_query")
        try:
            limit = check_max("max_args", max_args)
        except BadArgument as err:
            self.bad_argument("request.get_query", err)
        pairs, truncated = query_pairs(self._query(), limit)
        return Query(pairs, truncated=truncated)

    def request_get_header(self, name: str) -> str | None:
        if not self.bit:
            self.refuse("request.get_header")
        if type(name) is not str:
            name = self._text("request.get_header", "name", name)
        values = self._firsts
        if values is None or values.seen != len(self.operations):
            values = self.request_firsts()
        value = values.found.get(known_keys.get(name), UNSOUGHT)
        return values.get(name) if value is UNSOUGHT else value

    def request_get_headers(self, max_headers: int = DEFAULT_MAX) -> MultiMap:
        if not self.bit:
            self.refuse("request.get_headers")
        return self._lines("request.get_headers", self.request_headers(), max_headers)

    def request_get_start_time(self) -> int:
        if not self.bit:
            self.refuse("request.get_start_time")
        return self.head.start_time or 0

    def request_get_uri_captures(self) -> Captures:
        if not self.bit & _ROUTED:
            self.refuse("request.get_uri_captures")
        captures = self.array(self.wire.captures, "request.get_uri_captures", shapes.CAPTURES)
        if captures is None:
            return Captures()
        named = cast("dict[str | bytes, str | bytes]", captures[1])
        return Captures(
            unnamed=tuple(text_of(group) for group in captures[0]),
            named=MappingProxyType({text_of(name): text_of(group) for name, group in named.items()}),
        )

    # response

    def response_get_status(self) -> int:
        if not self.bit & _RESPONSE:
            self.refuse("response.get_status")
        if self._response_status is not None:
            return self._response_status
        response = self.response_fact()
        return response[0] if response else 0

    def response_get_header(self, name: str) -> str | None:
        if not self.bit & _RESPONSE:
            self.refuse("response.get_header")
        if type(name) is not str:
            name = self._text("response.get_header", "name", name)
        return self.response_firsts().get(name)

    def response_get_headers(self, max_headers: int = DEFAULT_MAX) -> MultiMap:
        if not self.bit & _RESPONSE:
            self.refuse("response.get_headers")
        return self._lines("response.get_headers", self.response_headers(), max_headers)

    def response_get_source(self) -> str:
        if not self.bit & _RESPONSE:
            self.refuse("response.get_source")
        response = self.response_fact()
        source = response[2] if response else 0
        return _SOURCES[source] if source < len(_SOURCES) else "error"

    # service.response

    def service_response_get_status(self) -> int | None:
        if not self.bit & _SERVICE_RESPONSE:
            self.refuse("service.response.get_status")
        response = self.service_response_fact()
        return response[0] if response else None

    def service_response_get_header(self, name: str) -> str | None:
        if not self.bit & _SERVICE_RESPONSE:
            self.refuse("service.response.get_header")
        return self.service_response_headers().get(self._text("service.response.get_header", "name", name))

    def service_response_get_headers(self, max_headers: int = DEFAULT_MAX) -> MultiMap:
        if not self.bit & _SERVICE_RESPONSE:
            self.refuse("service.response.get_headers")
        return self._lines("service.response.get_headers", self.service_response_headers(), max_headers)
