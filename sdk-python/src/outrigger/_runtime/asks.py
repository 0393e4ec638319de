"""Functions of class ask: what comes before the question, the question, and what comes after, shared by both ways of asking."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from .._errors import ArgError, HostError, error_of_code
from .._gen.functions import FUNCTIONS
from .._values import Consumer, Credential, consumer_of, credential_of
from .reads import Reads
from .serialize import serialize_over
from .state import LOCK
from .text import bytes_of, text_of
from .values import BadArgument, encode_value
from .wire import Answer

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}").fullmatch

_LOAD_CONSUMER = FUNCTIONS["client.load_consumer"].phases
_LOAD_CREDENTIAL = FUNCTIONS["client.load_credential"].phases
_SERIALIZE = FUNCTIONS["log.serialize"].phases
_REQUEST_BODY = FUNCTIONS["request.get_raw_body"].phases
_RESPONSE_BODY = FUNCTIONS["service.response.get_raw_body"].phases


_MAX_ASK = (1 << 20) - 64
"""Most bytes of the arguments of an ask: the host closes a lane that brings more."""


def _bytes(body: Any) -> bytes | None:
    """A body that may have come as text."""
    return bytes_of(body) if isinstance(body, str) else body


class Asks(Reads):
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

    def _known_request_body(self) -> bytes | None:
        if not self.bit & _REQUEST_BODY:
            self.refuse("request.get_raw_body")
        return _bytes(self.wire.request_body) if self._request_body is None else self._request_body

    def request_get_raw_body(self) -> bytes:
        body = self._known_request_body()
        return body if body is not None else self._keep_request_body(self.port.ask(self, 1, []))

    async def request_get_raw_body_async(self) -> bytes:
        body = self._known_request_body()
        return body if body is not None else self._keep_request_body(await self.port.ask_async(self, 1, []))

    def _keep_request_body(self, answer: Answer) -> bytes:
        body = self._answered_bytes("request.get_raw_body", answer)
        with LOCK:
            if self._request_body is None:
                self._request_body = body
            return self._request_body

    def _known_response_body(self) -> bytes | None:
        if not self.bit & _RESPONSE_BODY:
            self.refuse("service.response.get_raw_body")
        return _bytes(self.wire.response_body) if self._response_body is None else self._response_body

    def service_response_get_raw_body(self) -> bytes:
        body = self._known_response_body()
        return body if body is not None else self._keep_response_body(self.port.ask(self, 2, []))

    async def service_response_get_raw_body_async(self) -> bytes:
        body = self._known_response_body()
        return body if body is not None else self._keep_response_body(await self.port.ask_async(self, 2, []))

    def _keep_response_body(self, answer: Answer) -> bytes:
        body = self._answered_bytes("service.response.get_raw_body", answer)
        self._response_body = body
        return body

    def log_serialize(self) -> str:
        if not self.bit & _SERIALIZE:
            self.refuse("log.serialize")
        return self._serialized(self.port.ask(self, 3, []))

    async def log_serialize_async(self) -> str:
        if not self.bit & _SERIALIZE:
            self.refuse("log.serialize")
        return self._serialized(await self.port.ask_async(self, 3, []))

    def _serialized(self, answer: Answer) -> str:
        entry = text_of(self._answered_bytes("log.serialize", answer))
        try:
            return serialize_over(entry, self.operations)
        except ValueError as err:
            raise HostError(f"the log entry is no JSON object: {err}", function="log.serialize") from None

    def _consumer_args(self, id: str, by_username: bool) -> list[Any]:  # noqa: A002 - the PDK's name
        function = "client.load_consumer"
        if not self.bit & _LOAD_CONSUMER:
            self.refuse(function)
        self._name(function, "id", id)
        if not id:
            raise ArgError("id is empty", function=function)
        if not by_username and not _UUID(id):
            raise ArgError(f"id {id!r} is not a UUID; set by_username to look for a username", function=function)
        return self._bounded(function, [id, bool(by_username)])

    def client_load_consumer(self, id: str, by_username: bool = False) -> Consumer | None:  # noqa: A002
        args = self._consumer_args(id, by_username)
        return self._loaded_consumer(self.port.ask(self, 4, args))

    async def client_load_consumer_async(self, id: str, by_username: bool = False) -> Consumer | None:  # noqa: A002
        args = self._consumer_args(id, by_username)
        return self._loaded_consumer(await self.port.ask_async(self, 4, args))

    def _loaded_consumer(self, answer: Answer) -> Consumer | None:
        fields = self._answered_map("client.load_consumer", answer)
        return None if fields is None else consumer_of(fields)

    def _credential_args(self, kind: str, key: str) -> list[Any]:
        function = "client.load_credential"
        if not self.bit & _LOAD_CREDENTIAL:
            self.refuse(function)
        if not self._name(function, "kind", kind):
            raise ArgError("kind is empty; expected the name of a collection, such as keyauth_credentials", function=function)
        return self._bounded(function, [kind, self._name(function, "key", key)])

    def client_load_credential(self, kind: str, key: str) -> Credential | None:
        args = self._credential_args(kind, key)
        return self._loaded_credential(self.port.ask(self, 5, args))

    async def client_load_credential_async(self, kind: str, key: str) -> Credential | None:
        args = self._credential_args(kind, key)
        return self._loaded_credential(await self.port.ask_async(self, 5, args))

    def _loaded_credential(self, answer: Answer) -> Credential | None:
        fields = self._answered_map("client.load_credential", answer)
        return None if fields is None else credential_of(fields)
