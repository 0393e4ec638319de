"""Errors of the PDK.

    PDKError
    ├── ArgError      bad_argument  an argument is out of range or not legal
    ├── PhaseError    wrong_phase   not allowed in this phase, after the handler ended, or after an exit
    ├── DataError     bad_data      the data of the request cannot answer
    └── HostError     host_error    the host could not answer

``PluginError`` is apart: it is raised while plugins are loaded, never by the PDK.
"""

from __future__ import annotations

from typing import ClassVar


class PDKError(Exception):
    """Base of what PDK functions raise.

    Attributes:
        code: Stable name of the kind, the same in every language.
        function: Canonical name of the function, such as ``service.request.set_header``; empty when it came from elsewhere.
        message: What was found and what was expected.
    """

    code: ClassVar[str] = "host_error"

    def __init__(self, message: str = "", *, function: str = "") -> None:
        self.function = function
        self.message = message
        super().__init__(": ".join(part for part in (self.code, function, message) if part))


class ArgError(PDKError):
    """An argument is of a wrong type, out of range, or not legal in HTTP."""

    code = "bad_argument"


class PhaseError(PDKError):
    """The function may not be called in this phase, after the handler has ended, or after an exit."""

    code = "wrong_phase"


class DataError(PDKError):
    """The data of the request or the response cannot answer, for example because it is too large."""

    code = "bad_data"


class HostError(PDKError):
    """The host could not answer."""

    code = "host_error"


class PluginError(Exception):
    """A plugin, its configuration class or its file is not usable. The message names file, class, found and expected."""


_KINDS: dict[str, type[PDKError]] = {kind.code: kind for kind in (ArgError, PhaseError, DataError, HostError)}


def error_of_code(code: str, message: str, function: str) -> PDKError:
    """Makes the error that an answer of the host carries; an unknown code is a HostError that names it."""
    kind = DataError if code == "too_large" else _KINDS.get(code)
    if kind is None:
        return HostError(f"{code}: {message}", function=function)
    return kind(message, function=function)
