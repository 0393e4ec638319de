"""References to secrets: ``{vault://name/resource/key?option=value#version}``."""

from __future__ import annotations

import re
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from .._values import Reference
from .text import bytes_of, query_pairs, text_of

_OPENING = "{vault://"

_NAME = re.compile(r"[a-z][a-z0-9-]*").fullmatch
_DIGITS = re.compile(r"[0-9]{1,18}").fullmatch

_MAX_OPTIONS = 1000


class BadReference(Exception):
    """A text that is no reference; the message says what is wrong with it."""


def is_reference(text: str) -> bool:
    """Whether a text begins and ends like a reference."""
    return text.startswith(_OPENING) and text.endswith("}") and len(text) > len(_OPENING) + 1


def parse_reference(text: str) -> Reference:
    """The parts of a reference.

    Raises:
        BadReference: it is none, or a part is missing or wrong.
    """
    if not is_reference(text):
        raise BadReference("text is no reference; expected {vault://NAME/RESOURCE}")
    rest, _, fragment = text[len(_OPENING) : -1].partition("#")
    rest, _, query = rest.partition("?")
    name, slash, path = rest.partition("/")
    if not _NAME(name):
        raise BadReference(f"reference has the vault name {name!r}; expected lower-case letters, digits and -, a letter first")
    parent, below, last = path.rpartition("/")
    resource, key = (parent, last) if below else (last, "")
    if not slash or not resource:
        raise BadReference("reference has no resource; expected {vault://NAME/RESOURCE}")
    if fragment and not _DIGITS(fragment):
        raise BadReference(f"reference has the version {fragment!r}; expected digits")
    options, _ = query_pairs(query, _MAX_OPTIONS)
    return Reference(
        name=name,
        resource=_decoded(resource),
        key=_decoded(key),
        config=MappingProxyType({option: "" if value is True else value for option, value in options}),
        version=int(fragment or 0),
    )


def _decoded(part: str) -> str:
    return text_of(unquote_to_bytes(bytes_of(part)))
