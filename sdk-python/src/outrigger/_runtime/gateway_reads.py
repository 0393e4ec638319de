"""Functions of class read about the gateway and the plugin: node, cluster, nginx, vault references, and values kept for the request."""

from __future__ import annotations

from typing import Any

from .._errors import DataError
from .._values import Reference
from . import shapes
from .kept import Kept
from .reads import Reads
from .references import BadReference, is_reference, parse_reference
from .state import LOCK
from .text import text_of
from .values import Malformed, decode_value


class GatewayReads(Reads):
    """Read functions that are not about the request itself. All are allowed in every phase."""

    def ip_is_trusted(self, address: str) -> bool:
        if not self.bit:
            self.refuse("ip.is_trusted")
        return self.port.node.is_trusted(self._text("ip.is_trusted", "address", address))

    def node_get_id(self) -> str:
        if not self.bit:
            self.refuse("node.get_id")
        return self.port.node.hello.node_id

    def node_get_hostname(self) -> str:
        if not self.bit:
            self.refuse("node.get_hostname")
        return self.port.node.hello.hostname

    def node_get_version(self) -> str:
        if not self.bit:
            self.refuse("node.get_version")
        return self.port.node.hello.gateway_version

    def cluster_get_id(self) -> str | None:
        if not self.bit:
            self.refuse("cluster.get_id")
        return self.port.node.hello.cluster_id or None

    def plugin_get_id(self) -> str:
        if not self.bit:
            self.refuse("plugin.get_id")
        return self.step.instance.record_id

    # nginx

    def nginx_get_subsystem(self) -> str:
        if not self.bit:
            self.refuse("nginx.get_subsystem")
        return "http"

    def tls_fact(self, function: str) -> list[Any] | None:
        """``[version, cipher, client_verify, has_certificate]``; None without TLS."""
        fact = self.array(self.wire.tls, function)
        if fact is not None and len(fact) < 4:
            self.lied(function, Malformed(f"tls has {len(fact)} fields; expected 4"))
        try:
            return None if fact is None else shapes.fitted(fact, shapes.TLS)
        except Malformed as err:
            self.lied(function, err)

    def nginx_get_tls1_version_str(self) -> str | None:
        if not self.bit:
            self.refuse("nginx.get_tls1_version_str")
        tls = self.tls_fact("nginx.get_tls1_version_str")
        return None if tls is None else text_of(tls[0])

    def nginx_req_start_time(self) -> float:
        if not self.bit:
            self.refuse("nginx.req_start_time")
        return (self.head.start_time or 0) / 1000

    def nginx_get_ctx(self, key: str) -> Any:
        if not self.bit:
            self.refuse("nginx.get_ctx")
        return self._kept_value("nginx.get_ctx", self.shared(), NGINX_CTX + self._text("nginx.get_ctx", "key", key))

    # ctx

    def shared(self) -> Kept:
        """What ``ctx.shared`` holds."""
        kept = self._shared
        if kept is None:
            made = self._decode_kept("ctx.shared", self.wire.shared)
            with LOCK:
                kept = self._shared = self._shared or made
        return kept

    def of_plugin(self) -> Kept:
        """What ``ctx.plugin`` holds."""
        kept = self._plugin
        if kept is None:
            made = self._decode_kept("ctx.plugin", self.wire.plugin)
            with LOCK:
                kept = self._plugin = self._plugin or made
        return kept

    def _decode_kept(self, what: str, raw: Any) -> Kept:
        try:
            return Kept(raw)
        except Malformed as err:
            self.lied(what, err)

    def _kept_value(self, function: str, kept: Kept, key: str) -> Any:
        raw = kept.entries.get(key)
        if raw is None:
            return None
        try:
            return decode_value(raw)
        except Malformed as err:
            raise DataError(f"value under {key!r}: {err}", function=function) from None

    def ctx_shared_get(self, key: str) -> Any:
        if not self.bit:
            self.refuse("ctx.shared.get")
        return self._kept_value("ctx.shared.get", self.shared(), self._text("ctx.shared.get", "key", key))

    def ctx_plugin_get(self, key: str) -> Any:
        if not self.bit:
            self.refuse("ctx.plugin.get")
        return self._kept_value("ctx.plugin.get", self.of_plugin(), self._text("ctx.plugin.get", "key", key))

    # vault

    def vault_is_reference(self, text: str) -> bool:
        if not self.bit:
            self.refuse("vault.is_reference")
        return is_reference(self._text("vault.is_reference", "text", text))

    def vault_parse_reference(self, text: str) -> Reference:
        if not self.bit:
            self.refuse("vault.parse_reference")
        return self._reference("vault.parse_reference", text)

    def _reference(self, function: str, text: str) -> Reference:
        try:
            return parse_reference(self._text(function, "text", text))
        except BadReference as err:
            raise DataError(str(err), function=function) from None


NGINX_CTX = "nginx.ctx."
"""In front of the keys of ``nginx.set_ctx`` in ``ctx.shared``."""
