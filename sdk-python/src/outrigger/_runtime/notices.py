"""Functions that report: log lines, spans and telemetry records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .._errors import DataError
from .._gen.functions import FUNCTIONS
from .._span import Span
from . import shapes
from .jsontext import inspected
from .service_writes import ServiceWrites
from .state import LOCK
from .text import bytes_of, check_text, log_text, text_of
from .values import BadArgument, plain

_SERIALIZE_VALUE = FUNCTIONS["log.set_serialize_value"].phases
_TELEMETRY = FUNCTIONS["telemetry.log"].phases

_WARN = 3
_MAX_SPANS = 1024
_TOO_MANY_SPANS = f"tracing.start_span: the handler has started {_MAX_SPANS} spans; further ones record nothing"


class Notices(ServiceWrites):
    """``log``, ``tracing`` and ``telemetry``."""

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

    def log_deprecation(self, message: str, after: str = "", removal: str = "") -> None:
        function = "log.deprecation"
        if not self.bit:
            self.refuse(function)
        for name, value in (("message", message), ("after", after), ("removal", removal)):
            self._text(function, name, value)
        said = [f"deprecated after {after}"] if after else []
        said += [f"scheduled for removal in {removal}"] if removal else []
        self._log(function, 3, (f"{message} ({', '.join(said)})" if said else message,))

    def log_inspect(self, *args: object) -> None:
        if not self.bit:
            self.refuse("log.inspect")
        if self.port.node.log_level <= 2:
            self.port.log(self, 2, "\n".join([inspected(arg) for arg in args]))

    # tracing

    def tracing_start_span(self, name: str, attributes: Mapping[str, Any] | None = None) -> Span:
        """An unattached span where it may not be called, and where there are too many."""
        function = "tracing.start_span"
        try:
            bytes_of(check_text("name", name))
            if attributes is not None:
                _check_map("attributes", attributes)
        except BadArgument as err:
            self.bad_argument(function, err)
        with LOCK:
            spans = self.spans
            if not self.bit:
                return Span(name, attributes)
            if spans is None:
                spans = self.spans = []
            if len(spans) < _MAX_SPANS:
                span = Span(name, attributes, parent=_innermost(spans))
                spans.append(span)
                return span
            news, self.spans_refused = not self.spans_refused, True
        if news and self.port.node.log_level <= _WARN:
            self.port.log(self, _WARN, _TOO_MANY_SPANS)
        return Span(name, attributes)

    def tracing_active_span(self) -> Span | None:
        if not self.bit:
            self.refuse("tracing.active_span")
        with LOCK:
            return _innermost(self.spans or ())

    def tracing_get_traceparent(self) -> str | None:
        if not self.bit:
            self.refuse("tracing.get_traceparent")
        return self._trace(0, "tracing.get_traceparent")

    def tracing_get_tracestate(self) -> str | None:
        if not self.bit:
            self.refuse("tracing.get_tracestate")
        return self._trace(1, "tracing.get_tracestate")

    def _trace(self, at: int, function: str) -> str | None:
        """One of ``[traceparent, tracestate]`` of the call; None when it is missing or empty."""
        context = self.array(self.wire.trace, function, shapes.TRACE)
        return None if context is None else text_of(context[at]) or None

    # telemetry

    def telemetry_log(
        self, plugin_name: str, config: Mapping[str, Any], message_type: str, message: str, attributes: Mapping[str, Any] | None = None
    ) -> None:
        function = "telemetry.log"
        if not self.bit & _TELEMETRY:
            self.refuse(function)
        try:
            for what, text in (("plugin_name", plugin_name), ("message_type", message_type), ("message", message)):
                bytes_of(check_text(what, text))
                if not text and what != "message":
                    raise BadArgument(f"{what} is empty")
            record = [plugin_name, plain(_check_map("config", config)), message_type, message]
            record.append(None if attributes is None else plain(_check_map("attributes", attributes)))
        except BadArgument as err:
            self.bad_argument(function, err)
        if not self.port.node.hello.telemetry_logs:
            raise DataError("the gateway takes no telemetry records: its setting telemetry_logs is off", function=function)
        self.record(_TELEMETRY, function, [91, record])


def _innermost(spans: Sequence[Span]) -> Span | None:
    """The span that was started last and is not finished."""
    return next((span for span in reversed(spans) if not span.finished), None)


def _check_map(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise BadArgument(f"{name} is a {type(value).__name__}; expected a mapping")
    for key in value:  # pyright: ignore[reportUnknownVariableType]
        if not isinstance(key, str):
            raise BadArgument(f"{name} has a key of type {type(key).__name__}; expected str")  # pyright: ignore[reportUnknownArgumentType]
    return value  # pyright: ignore[reportUnknownVariableType]
