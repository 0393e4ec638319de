"""Functions that choose where the request goes, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._errors import ArgError
from .._gen.functions import FUNCTIONS
from .response_writes import ResponseWrites
from .targets import check_host, check_pem, check_targets
from .text import bytes_of, check_int
from .values import BadArgument

_SERVICE_WRITE = FUNCTIONS["service.set_target"].phases

_MAX_TIMEOUT = 2147483646


class ServiceWrites(ResponseWrites):
    """Writes of ``service``, all of one phase."""

    def _write(self, function: str, code: int, arguments: list[Any]) -> None:
        self.record(_SERVICE_WRITE, function, [code, arguments])

    def service_set_target(self, host: str, port: int) -> None:
        function = "service.set_target"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            bare = check_host(host)
            bytes_of(bare)
            checked = check_int("port", port, 0, 65535)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 71, [bare, checked])

    def service_set_retries(self, retries: int) -> None:
        function = "service.set_retries"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = check_int("retries", retries, 0, 32767)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 72, [checked])

    def service_set_timeouts(self, connect_timeout: int, write_timeout: int, read_timeout: int) -> None:
        function = "service.set_timeouts"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = [
                check_int("connect_timeout", connect_timeout, 1, _MAX_TIMEOUT),
                check_int("write_timeout", write_timeout, 1, _MAX_TIMEOUT),
                check_int("read_timeout", read_timeout, 1, _MAX_TIMEOUT),
            ]
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 73, checked)

    def service_set_fallback_targets(self, targets: Sequence[str]) -> None:
        function = "service.set_fallback_targets"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = check_targets(targets)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 74, [checked])

    def service_set_tls_verify(self, verify: bool) -> None:
        function = "service.set_tls_verify"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        if not isinstance(verify, bool):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may ignore types
            raise ArgError(f"verify is a {type(verify).__name__}; expected bool", function=function)
        self._write(function, 75, [verify])

    def service_set_tls_verify_depth(self, depth: int) -> None:
        function = "service.set_tls_verify_depth"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = check_int("depth", depth, 0, 64)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 76, [checked])

    def service_set_tls_cert_key(self, certificates: str, key: str) -> None:
        function = "service.set_tls_cert_key"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = [check_pem("certificates", certificates), check_pem("key", key)]
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 77, checked)

    def service_set_tls_verify_store(self, certificates: str) -> None:
        function = "service.set_tls_verify_store"
        if not self.bit & _SERVICE_WRITE:
            self.refuse(function)
        try:
            checked = check_pem("certificates", certificates)
        except BadArgument as err:
            self.bad_argument(function, err)
        self._write(function, 78, [checked])
