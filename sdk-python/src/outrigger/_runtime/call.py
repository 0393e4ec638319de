"""One call as the PDK sees it: the runtime object that the generated surface delegates to.

``CallState`` holds facts and seal. On top of it stand, each in a module of its own: reads, reads about the gateway, asks, lookups, writes
of the request, of the response and of the service, and notices.
"""

from __future__ import annotations

import math
from typing import Any

from .._errors import ArgError
from .._gen.functions import FUNCTIONS
from .._values import Consumer, ConsumerGroup, ConsumerGroups, Credential, consumer_document, credential_document
from .gateway_reads import NGINX_CTX
from .kept import Kept
from .notices import Notices
from .spans import span_operations
from .state import LOCK
from .text import bytes_of, check_text
from .values import BadArgument, encode_value, plain

_AUTHENTICATE = FUNCTIONS["client.authenticate"].phases
_SET_GROUPS = FUNCTIONS["client.set_authenticated_consumer_groups"].phases
_CLIENT_VERIFY = FUNCTIONS["client.tls.set_client_verify"].phases
_SHARED_SET = FUNCTIONS["ctx.shared.set"].phases
_PLUGIN_SET = FUNCTIONS["ctx.plugin.set"].phases
_NGINX_SET = FUNCTIONS["nginx.set_ctx"].phases
_CACHE_SET = FUNCTIONS["cache.set"].phases
_CACHE_DELETE = FUNCTIONS["cache.delete"].phases

_MAX_GROUPS = 100
_MAX_CACHED = 1 << 20


class Call(Notices):
    """Everything that a handler may call, and its end."""

    def finish_spans(self) -> None:
        """Adds the spans of a handler that has just been sealed to its operations."""
        if self.spans:
            self.operations += span_operations(self.spans)

    # client

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

    def client_set_authenticated_consumer_group(self, group: ConsumerGroup | None = None) -> None:
        self._set_groups("client.set_authenticated_consumer_group", () if group is None else (group,), "write")

    def client_set_authenticated_consumer_groups(self, groups: ConsumerGroups, mode: str = "write") -> None:
        self._set_groups("client.set_authenticated_consumer_groups", groups, mode)

    def _set_groups(self, function: str, groups: ConsumerGroups, mode: str) -> None:
        if not self.bit & _SET_GROUPS:
            self.refuse(function)
        try:
            if mode not in ("write", "append"):
                raise BadArgument(f"mode {mode!r} is not write or append")
            if not isinstance(groups, (list, tuple)):
                raise BadArgument(f"groups is a {type(groups).__name__}; expected a list of ConsumerGroup")
            if len(groups) > _MAX_GROUPS:
                raise BadArgument(f"groups has {len(groups)} entries; expected at most {_MAX_GROUPS}")
            for group in groups:
                if not isinstance(group, ConsumerGroup):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may ignore types
                    raise BadArgument(f"group is a {type(group).__name__}; expected ConsumerGroup")
                if not bytes_of(check_text("id of a group", group.id)):
                    raise BadArgument("id of a group is empty")
                bytes_of(check_text("name of a group", group.name))
        except BadArgument as err:
            self.bad_argument(function, err)
        self.put_groups(_SET_GROUPS, function, list(groups), mode)

    def client_tls_set_client_verify(self, result: str) -> None:
        function = "client.tls.set_client_verify"
        if not self.bit & _CLIENT_VERIFY:
            self.refuse(function)
        try:
            bytes_of(check_text("result", result))
            if result not in ("SUCCESS", "NONE") and not (result.startswith("FAILED:") and len(result) > len("FAILED:")):
                raise BadArgument(f"result is {result!r}; expected SUCCESS, NONE, or FAILED: and a reason")
        except BadArgument as err:
            self.bad_argument(function, err)
        self.record(_CLIENT_VERIFY, function, [42, [result]])

    # ctx

    def ctx_shared_set(self, key: str, value: Any) -> None:
        function = "ctx.shared.set"
        if not self.bit & _SHARED_SET:
            self.refuse(function)
        self._keep(_SHARED_SET, function, 50, self.shared(), "", key, value)

    def nginx_set_ctx(self, key: str, value: Any) -> None:
        function = "nginx.set_ctx"
        if not self.bit & _NGINX_SET:
            self.refuse(function)
        self._keep(_NGINX_SET, function, 50, self.shared(), NGINX_CTX, key, value)

    def ctx_plugin_set(self, key: str, value: Any) -> None:
        function = "ctx.plugin.set"
        if not self.bit & _PLUGIN_SET:
            self.refuse(function)
        self._keep(_PLUGIN_SET, function, 51, self.of_plugin(), "", key, value)

    def _keep(self, mask: int, function: str, code: int, kept: Kept, prefix: str, key: str, value: Any) -> None:
        """Keeps a copy of a value under a key, if there is room."""
        try:
            bytes_of(check_text("key", key))
            copy = plain(value)
            raw = None if copy is None else encode_value(copy)
        except BadArgument as err:
            self.bad_argument(function, err)
        whole = prefix + key
        limit = self.port.node.max_shared
        with LOCK:
            won = self.bit & mask
            size = kept.size_with(whole, raw)
            fits = raw is None or not limit or size <= limit
            if won and fits:
                self.operations.append([code, whole, copy])
                kept.put(whole, raw, size)
        if not won:
            self.refuse(function)
        if not fits:
            place = "ctx.plugin" if code == 51 else "ctx.shared"
            message = f"with the value under {whole!r} {place} would hold {size} bytes; at most {limit} (max_shared) are allowed"
            raise ArgError(message, function=function)

    # cache

    def cache_set(self, key: str, value: Any, ttl: float = 0) -> None:
        function = "cache.set"
        self._cache_key(function, key)
        try:
            copy = plain(value)
            size = 0 if copy is None else len(encode_value(copy))
            if size > _MAX_CACHED:
                raise BadArgument(f"value has {size} bytes; at most {_MAX_CACHED} are kept")
            if isinstance(ttl, bool) or not isinstance(ttl, (int, float)):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise BadArgument(f"ttl is a {type(ttl).__name__}; expected a number of seconds")
            if not (ttl >= 0 and math.isfinite(ttl)):
                raise BadArgument(f"ttl is {ttl}; expected 0 or more seconds")
            seconds = float(ttl)
        except OverflowError:
            self.bad_argument(function, BadArgument("ttl is out of range"))
        except BadArgument as err:
            self.bad_argument(function, err)
        self._cache_write(_CACHE_SET, function, key, copy, [92, [key, copy, seconds]])

    def cache_delete(self, key: str) -> None:
        function = "cache.delete"
        self._cache_key(function, key)
        self._cache_write(_CACHE_DELETE, function, key, None, [93, [key]])

    def _cache_write(self, mask: int, function: str, key: str, value: Any, operation: list[Any]) -> None:
        with LOCK:
            won = self.bit & mask
            if won:
                self.operations.append(operation)
                if self._cache is None:
                    self._cache = {}
                self._cache[key] = value
        if not won:
            self.refuse(function)
