"""Functions of class ask: what comes before the question, the question, and what comes after, shared by both ways of asking."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from .._errors import ArgError, DataError, HostError, error_of_code
from .._gen.functions import FUNCTIONS
from .._values import Body, Consumer, Credential, consumer_of, credential_of
from .bodies import BadBody, known_type, parse_body
from .gateway_reads import GatewayReads
from .headers import HeaderLines
from .serialize import serialize_over
from .state import LOCK
from .text import DEFAULT_MAX, bytes_of, check_max, text_of
from .values import BadArgument, encode_value
from .wire import Answer

is_uuid = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

_LOAD_CONSUMER = FUNCTIONS["client.load_consumer"].phases
_LOAD_CREDENTIAL = FUNCTIONS["client.load_credential"].phases
_SERIALIZE = FUNCTIONS["log.serialize"].phases
_REQUEST_BODY = FUNCTIONS["request.get_raw_body"].phases
_SERVICE_BODY = FUNCTIONS["service.response.get_raw_body"].phases
_RESPONSE_BODY = FUNCTIONS["response.get_raw_body"].phases


_MAX_ASK = (1 << 20) - 64
"""Most bytes of the arguments of an ask: the host closes a lane that brings more."""


def _bytes(body: Any) -> bytes | None:
    """A body that may have come as text."""
    return bytes_of(body) if isinstance(body, str) else body


class Asks(GatewayReads):
    """Asks, each blocking and, with the suffix ``_async``, as a coroutine."""

    def _answered(self, function: str, answer: Answer) -> Any:
        if answer.error is not None:
            code, message = answer.error
            raise error_of_code(code, message, function)
        return answer.value

    def _answered_bytes(self, function: str, answer: Answer) -> bytes:
        value = self._answered(function, answer)
        if value is None:
            return b""
        if isinstance(value, str):
            return value.encode("utf-8", "surrogateescape")
        if not isinstance(value, bytes):
            raise HostError(f"answer is a {type(value).__name__}; expected bytes", function=function)
        return value

    def _answered_map(self, function: str, answer: Answer) -> Mapping[str, Any] | None:
        value = self._answered(function, answer)
        if value is not None and not isinstance(value, dict):
            raise HostError(f"answer is a {type(value).__name__}; expected a map", function=function)
        return cast("Mapping[str, Any] | None", value)

    def _name(self, function: str, name: str, value: object) -> str:
        """A text that travels in an ask."""
        text = self._text(function, name, value)
        try:
            bytes_of(text)
        except BadArgument as err:
            self.bad_argument(function, err)
        return text

    def _bounded(self, function: str, args: list[Any]) -> list[Any]:
        """Arguments of an ask that the host takes."""
        size = sum(len(encode_value(arg)) for arg in args)
        if size > _MAX_ASK:
            raise ArgError(f"the arguments have {size} bytes; at most {_MAX_ASK} are allowed", function=function)
        return args

    # Bodies. Each function answers from what is known, else puts one question.

    def _known_request_body(self, function: str) -> bytes | None:
        if not self.bit & _REQUEST_BODY:
            self.refuse(function)
        return _bytes(self.wire.request_body) if self._request_body is None else self._request_body

    def _keep_request_body(self, function: str, answer: Answer) -> bytes:
        body = self._answered_bytes(function, answer)
        with LOCK:
            if self._request_body is None:
                self._request_body = body
            return self._request_body

    def request_get_raw_body(self) -> bytes:
        function = "request.get_raw_body"
        body = self._known_request_body(function)
        return body if body is not None else self._keep_request_body(function, self.ask(1, []))

    async def request_get_raw_body_async(self) -> bytes:
        function = "request.get_raw_body"
        body = self._known_request_body(function)
        return body if body is not None else self._keep_request_body(function, await self.ask_async(1, []))

    def request_get_body(self, mimetype: str | None = None, max_args: int = DEFAULT_MAX) -> Body:
        function = "request.get_body"
        body = self._known_request_body(function)
        kind, media_type = self._media_type(function, mimetype, max_args, self.request_headers)
        if body is None:
            body = self._keep_request_body(function, self.ask(1, []))
        return self._parsed(function, body, kind, media_type, max_args)

    async def request_get_body_async(self, mimetype: str | None = None, max_args: int = DEFAULT_MAX) -> Body:
        function = "request.get_body"
        body = self._known_request_body(function)
        kind, media_type = self._media_type(function, mimetype, max_args, self.request_headers)
        if body is None:
            body = self._keep_request_body(function, await self.ask_async(1, []))
        return self._parsed(function, body, kind, media_type, max_args)

    def _known_service_body(self, function: str) -> bytes | None:
        if not self.bit & _SERVICE_BODY:
            self.refuse(function)
        return _bytes(self.wire.response_body) if self._response_body is None else self._response_body

    def _keep_service_body(self, function: str, answer: Answer) -> bytes:
        body = self._answered_bytes(function, answer)
        self._response_body = body
        return body

    def service_response_get_raw_body(self) -> bytes:
        function = "service.response.get_raw_body"
        body = self._known_service_body(function)
        return body if body is not None else self._keep_service_body(function, self.ask(2, []))

    async def service_response_get_raw_body_async(self) -> bytes:
        function = "service.response.get_raw_body"
        body = self._known_service_body(function)
        return body if body is not None else self._keep_service_body(function, await self.ask_async(2, []))

    def service_response_get_body(self, mimetype: str | None = None, max_args: int = DEFAULT_MAX) -> Body:
        function = "service.response.get_body"
        body = self._known_service_body(function)
        kind, media_type = self._media_type(function, mimetype, max_args, self.service_response_headers)
        if body is None:
            body = self._keep_service_body(function, self.ask(2, []))
        return self._parsed(function, body, kind, media_type, max_args)

    async def service_response_get_body_async(self, mimetype: str | None = None, max_args: int = DEFAULT_MAX) -> Body:
        function = "service.response.get_body"
        body = self._known_service_body(function)
        kind, media_type = self._media_type(function, mimetype, max_args, self.service_response_headers)
        if body is None:
            body = self._keep_service_body(function, await self.ask_async(2, []))
        return self._parsed(function, body, kind, media_type, max_args)

    def _media_type(self, function: str, mimetype: str | None, max_args: int, headers: Callable[[], HeaderLines]) -> tuple[str, str]:
        """The kind of body to parse and its whole media type: the argument, or the Content-Type of the headers."""
        if mimetype is not None:
            self._text(function, "mimetype", mimetype)
        try:
            check_max("max_args", max_args)
        except BadArgument as err:
            self.bad_argument(function, err)
        media_type = mimetype or headers().get("content-type")
        try:
            return known_type(media_type), media_type or ""
        except BadBody as err:
            raise DataError(str(err), function=function) from None

    def _parsed(self, function: str, body: bytes, kind: str, media_type: str, max_args: int) -> Body:
        try:
            return parse_body(body, kind, media_type, max_args)
        except BadBody as err:
            raise DataError(str(err), function=function) from None

    def _known_client_body(self) -> bytes | None:
        if not self.bit & _RESPONSE_BODY:
            self.refuse("response.get_raw_body")
        return _bytes(self.wire.response_body) if self._client_body is None else self._client_body

    def _keep_client_body(self, answer: Answer) -> bytes:
        body = self._answered_bytes("response.get_raw_body", answer)
        with LOCK:
            if self._client_body is None:
                self._client_body = body
            return self._client_body

    def response_get_raw_body(self) -> bytes:
        body = self._known_client_body()
        return body if body is not None else self._keep_client_body(self.ask(16, []))

    async def response_get_raw_body_async(self) -> bytes:
        body = self._known_client_body()
        return body if body is not None else self._keep_client_body(await self.ask_async(16, []))

    # The log entry.

    def log_serialize(self) -> str:
        if not self.bit & _SERIALIZE:
            self.refuse("log.serialize")
        return self._serialized(self.ask(3, []))

    async def log_serialize_async(self) -> str:
        if not self.bit & _SERIALIZE:
            self.refuse("log.serialize")
        return self._serialized(await self.ask_async(3, []))

    def _serialized(self, answer: Answer) -> str:
        entry = text_of(self._answered_bytes("log.serialize", answer))
        try:
            return serialize_over(entry, self.operations)
        except ValueError as err:
            raise HostError(f"the log entry is no JSON object: {err}", function="log.serialize") from None

    # Consumers and credentials.

    def _consumer_args(self, id: str, by_username: bool) -> list[Any]:  # noqa: A002 - the PDK's name
        function = "client.load_consumer"
        if not self.bit & _LOAD_CONSUMER:
            self.refuse(function)
        self._name(function, "id", id)
        if not id:
            raise ArgError("id is empty", function=function)
        if not by_username and not is_uuid(id):
            raise ArgError(f"id {id!r} is not a UUID; set by_username to look for a username", function=function)
        return self._bounded(function, [id, bool(by_username)])

    def client_load_consumer(self, id: str, by_username: bool = False) -> Consumer | None:  # noqa: A002
        args = self._consumer_args(id, by_username)
        return self._loaded_consumer(self.ask(4, args))

    async def client_load_consumer_async(self, id: str, by_username: bool = False) -> Consumer | None:  # noqa: A002
        args = self._consumer_args(id, by_username)
        return self._loaded_consumer(await self.ask_async(4, args))

    def _loaded_consumer(self, answer: Answer) -> Consumer | None:
        fields = self._answered_map("client.load_consumer", answer)
        try:
            return None if fields is None else consumer_of(fields)
        except TypeError as err:
            raise HostError(f"answer is no consumer: {err}", function="client.load_consumer") from None

    def _credential_args(self, kind: str, key: str) -> list[Any]:
        function = "client.load_credential"
        if not self.bit & _LOAD_CREDENTIAL:
            self.refuse(function)
        if not self._name(function, "kind", kind):
            raise ArgError("kind is empty; expected the name of a collection, such as keyauth_credentials", function=function)
        return self._bounded(function, [kind, self._name(function, "key", key)])

    def client_load_credential(self, kind: str, key: str) -> Credential | None:
        args = self._credential_args(kind, key)
        return self._loaded_credential(self.ask(5, args))

    async def client_load_credential_async(self, kind: str, key: str) -> Credential | None:
        args = self._credential_args(kind, key)
        return self._loaded_credential(await self.ask_async(5, args))

    def _loaded_credential(self, answer: Answer) -> Credential | None:
        fields = self._answered_map("client.load_credential", answer)
        try:
            return None if fields is None else credential_of(fields)
        except TypeError as err:
            raise HostError(f"answer is no credential: {err}", function="client.load_credential") from None
