"""More functions of class ask: consumer groups, certificates, the node, nginx's variables, secrets, the cache and upstreams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from .._errors import ArgError, HostError
from .._gen.functions import FUNCTIONS
from .._values import ConsumerGroup
from .asks import Asks, is_uuid
from .state import LOCK
from .text import bytes_of, check_int, check_text, text_of
from .values import BadArgument, plain
from .wire import Answer

_SET_UPSTREAM = FUNCTIONS["service.set_upstream"].phases
_GROUPS = FUNCTIONS["client.authenticate_consumer_group_by_consumer_id"].phases
_CHAIN = FUNCTIONS["client.tls.get_full_client_certificate_chain"].phases

_MAX_KEY = 1024

MISSING = object()
"""Marks a key of the cache that this handler has not written."""


class Lookups(Asks):
    """Asks about what the host knows beside the request."""

    def _answered_text(self, function: str, answer: Answer) -> str | None:
        value = self._answered(function, answer)
        if value is not None and not isinstance(value, (str, bytes)):
            raise HostError(f"answer is a {type(value).__name__}; expected text", function=function)
        return None if value is None else text_of(value)

    def _answered_fields(self, function: str, answer: Answer) -> dict[str, Any]:
        fields = self._answered_map(function, answer)
        if fields is None:
            raise HostError("answer is null; expected a map", function=function)
        return cast("dict[str, Any]", fields)

    # client

    def _groups_args(self, consumer_id: str) -> list[Any]:
        function = "client.authenticate_consumer_group_by_consumer_id"
        if not self.bit & _GROUPS:
            self.refuse(function)
        if not is_uuid(self._name(function, "consumer_id", consumer_id)):
            raise ArgError(f"consumer_id {consumer_id!r} is not a UUID", function=function)
        return [consumer_id]

    def client_authenticate_consumer_group_by_consumer_id(self, consumer_id: str) -> list[ConsumerGroup]:
        args = self._groups_args(consumer_id)
        return self._loaded_groups(self.ask(6, args))

    async def client_authenticate_consumer_group_by_consumer_id_async(self, consumer_id: str) -> list[ConsumerGroup]:
        args = self._groups_args(consumer_id)
        return self._loaded_groups(await self.ask_async(6, args))

    def _loaded_groups(self, answer: Answer) -> list[ConsumerGroup]:
        function = "client.authenticate_consumer_group_by_consumer_id"
        found = cast("list[dict[str, Any]]", self._answered(function, answer) or [])
        try:
            groups = [ConsumerGroup(id=text_of(fields["id"]), name=text_of(fields.get("name") or "")) for fields in found]
        except (TypeError, KeyError, AttributeError):
            raise HostError("answer is no list of groups with id and name", function=function) from None
        self.put_groups(_GROUPS, function, groups, "write")
        return groups

    def put_groups(self, mask: int, function: str, groups: list[ConsumerGroup], mode: str) -> None:
        """Records groups and shows them to the handler."""
        before = self.consumer_groups(function) if mode == "append" else []
        operation = [41, [[[group.id, group.name] for group in groups], mode]]
        with LOCK:
            won = self.bit & mask
            if won:
                self.operations.append(operation)
                known = {group.id for group in before} if mode == "append" else set[str]()
                visible = list(before)
                for group in groups:
                    if mode != "append" or group.id not in known:
                        known.add(group.id)
                        visible.append(group)
                self._groups = visible
        if not won:
            self.refuse(function)

    def _has_certificate(self) -> bool:
        function = "client.tls.get_full_client_certificate_chain"
        if not self.bit & _CHAIN:
            self.refuse(function)
        tls = self.tls_fact(function)
        return tls is not None and bool(tls[3])

    def client_tls_get_full_client_certificate_chain(self) -> str | None:
        if not self._has_certificate():
            return None
        return self._answered_text("client.tls.get_full_client_certificate_chain", self.ask(8, []))

    async def client_tls_get_full_client_certificate_chain_async(self) -> str | None:
        if not self._has_certificate():
            return None
        return self._answered_text("client.tls.get_full_client_certificate_chain", await self.ask_async(8, []))

    # node

    def _memory_args(self, unit: str, scale: int) -> list[Any]:
        function = "node.get_memory_stats"
        if not self.bit:
            self.refuse(function)
        try:
            letter = check_text("unit", unit).lower()
            if letter not in ("b", "k", "m", "g"):
                raise BadArgument(f"unit is {unit!r}; expected b, k, m or g")
            return [letter, check_int("scale", scale, 0, 10)]
        except BadArgument as err:
            self.bad_argument(function, err)

    def node_get_memory_stats(self, unit: str = "b", scale: int = 2) -> dict[str, Any]:
        args = self._memory_args(unit, scale)
        return self._answered_fields("node.get_memory_stats", self.ask(9, args))

    async def node_get_memory_stats_async(self, unit: str = "b", scale: int = 2) -> dict[str, Any]:
        args = self._memory_args(unit, scale)
        return self._answered_fields("node.get_memory_stats", await self.ask_async(9, args))

    def node_get_configuration(self) -> dict[str, Any]:
        if not self.bit:
            self.refuse("node.get_configuration")
        return self._answered_fields("node.get_configuration", self.ask(10, []))

    async def node_get_configuration_async(self) -> dict[str, Any]:
        if not self.bit:
            self.refuse("node.get_configuration")
        return self._answered_fields("node.get_configuration", await self.ask_async(10, []))

    # nginx

    def nginx_get_statistics(self) -> dict[str, Any]:
        if not self.bit:
            self.refuse("nginx.get_statistics")
        return self._answered_fields("nginx.get_statistics", self.ask(11, []))

    async def nginx_get_statistics_async(self) -> dict[str, Any]:
        if not self.bit:
            self.refuse("nginx.get_statistics")
        return self._answered_fields("nginx.get_statistics", await self.ask_async(11, []))

    def _var_args(self, name: str) -> list[Any]:
        if not self.bit:
            self.refuse("nginx.get_var")
        return self._bounded("nginx.get_var", [self._name("nginx.get_var", "name", name)])

    def nginx_get_var(self, name: str) -> str | None:
        args = self._var_args(name)
        return self._answered_text("nginx.get_var", self.ask(12, args))

    async def nginx_get_var_async(self, name: str) -> str | None:
        args = self._var_args(name)
        return self._answered_text("nginx.get_var", await self.ask_async(12, args))

    # vault

    def _secret_args(self, text: str) -> list[Any]:
        if not self.bit:
            self.refuse("vault.get")
        self._name("vault.get", "text", text)
        self._reference("vault.get", text)
        return self._bounded("vault.get", [text])

    def vault_get(self, text: str) -> str:
        args = self._secret_args(text)
        return self._secret(self.ask(13, args))

    async def vault_get_async(self, text: str) -> str:
        args = self._secret_args(text)
        return self._secret(await self.ask_async(13, args))

    def _secret(self, answer: Answer) -> str:
        secret = self._answered_text("vault.get", answer)
        if secret is None:
            raise HostError("answer is null; expected text", function="vault.get")
        return secret

    def _update_args(self, options: Mapping[str, Any]) -> list[Any]:
        function = "vault.update"
        if not self.bit:
            self.refuse(function)
        try:
            if not isinstance(options, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may ignore types
                raise BadArgument(f"options is a {type(options).__name__}; expected a mapping")
            references: Any = options.get("$refs", {})
            if not isinstance(references, Mapping) or not all(isinstance(one, str) for one in cast("Any", references).values()):
                raise BadArgument("$refs is no mapping of names to texts")
            copy = plain(options)
        except BadArgument as err:
            self.bad_argument(function, err)
        return self._bounded(function, [copy])

    def vault_update(self, options: Mapping[str, Any]) -> dict[str, Any]:
        args = self._update_args(options)
        return self._answered_fields("vault.update", self.ask(14, args))

    async def vault_update_async(self, options: Mapping[str, Any]) -> dict[str, Any]:
        args = self._update_args(options)
        return self._answered_fields("vault.update", await self.ask_async(14, args))

    # cache

    def _cache_key(self, function: str, key: object) -> str:
        """A checked key of the cache."""
        if not self.bit:
            self.refuse(function)
        try:
            text = check_text("key", key)
            size = len(bytes_of(text))
            if not 1 <= size <= _MAX_KEY:
                raise BadArgument(f"key has {size} bytes; expected 1 to {_MAX_KEY}")
        except BadArgument as err:
            self.bad_argument(function, err)
        return text

    def _written(self, key: str) -> Any:
        """What this handler has put under a key; MISSING if it has not."""
        written = self._cache
        value = MISSING if written is None else written.get(key, MISSING)
        return value if value is MISSING else plain(value)  # a copy: what the handler does with it must not change what travels

    def cache_get(self, key: str) -> Any:
        value = self._written(self._cache_key("cache.get", key))
        return self._answered("cache.get", self.ask(15, [key])) if value is MISSING else value

    async def cache_get_async(self, key: str) -> Any:
        value = self._written(self._cache_key("cache.get", key))
        return self._answered("cache.get", await self.ask_async(15, [key])) if value is MISSING else value

    # service

    def _upstream_args(self, name: str) -> list[Any]:
        function = "service.set_upstream"
        if not self.bit & _SET_UPSTREAM:
            self.refuse(function)
        if not self._name(function, "name", name):
            raise ArgError("name is empty; expected the name of an upstream", function=function)
        return self._bounded(function, [name])

    def service_set_upstream(self, name: str) -> None:
        args = self._upstream_args(name)
        self._answered("service.set_upstream", self.ask(7, args))
        self.record(_SET_UPSTREAM, "service.set_upstream", [70, [name]])

    async def service_set_upstream_async(self, name: str) -> None:
        args = self._upstream_args(name)
        self._answered("service.set_upstream", await self.ask_async(7, args))
        self.record(_SET_UPSTREAM, "service.set_upstream", [70, [name]])
