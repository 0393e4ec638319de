"""Rules of settings, as authors write them on the fields of a configuration class."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING
from typing import Any, TypedDict, Unpack, cast

from .._errors import PluginError
from .formats import FORMATS

RULES = "outrigger.rules"
"""Key of a field's metadata."""


@dataclasses.dataclass(frozen=True, eq=False)
class Rules:
    """Keywords of JSON Schema, for ``Annotated``."""

    keywords: Mapping[str, Any]


class Keywords(TypedDict, total=False):
    """Arguments of ``setting`` and ``rules``.

    Attributes:
        description: What it is for.
        minimum: Smallest number.
        maximum: Largest number.
        exclusive_minimum: Numbers are larger than this.
        exclusive_maximum: Numbers are smaller than this.
        multiple_of: Numbers are multiples of this.
        enum: The values allowed.
        pattern: Regular expression that a text must match somewhere.
        format: What a text must be: cidr, date, date-time, email, header, host, ip, ipv4, ipv6, method, path, regex, url or uuid; port for
            integers.
        min_length: Fewest characters of a text.
        max_length: Most characters of a text.
        min_items: Fewest items of a list.
        max_items: Most items of a list.
        unique_items: No two items of a list are equal.
        min_entries: Fewest entries of a dict.
        max_entries: Most entries of a dict.
        secret: Never shown in logs, in messages, or by the Admin API.
        referenceable: The text may be a reference to a secret, ``{vault://env/name}``; the plugin gets the secret.
    """

    description: str
    minimum: float
    maximum: float
    exclusive_minimum: float
    exclusive_maximum: float
    multiple_of: float
    enum: Sequence[Any]
    pattern: str
    format: str
    min_length: int
    max_length: int
    min_items: int
    max_items: int
    unique_items: bool
    min_entries: int
    max_entries: int
    secret: bool
    referenceable: bool


_SPELT = {
    "description": "description", "minimum": "minimum", "maximum": "maximum", "exclusive_minimum": "exclusiveMinimum",
    "exclusive_maximum": "exclusiveMaximum", "multiple_of": "multipleOf", "enum": "enum", "pattern": "pattern", "format": "format",
    "min_length": "minLength", "max_length": "maxLength", "min_items": "minItems", "max_items": "maxItems", "unique_items": "uniqueItems",
    "min_entries": "minProperties", "max_entries": "maxProperties", "secret": "x-secret", "referenceable": "x-referenceable",
}  # fmt: skip


def rules(**given: Unpack[Keywords]) -> Rules:
    """Rules for the items of a list or the keys and values of a dict: ``list[Annotated[str, rules(min_length=1)]]``.

    The arguments are those of ``Keywords``.
    """
    keywords: dict[str, Any] = {}
    for name, value in given.items():
        if name not in _SPELT:
            raise TypeError(f"there is no rule {name!r}; expected one of {', '.join(_SPELT)}")
        if value is not None and value is not False:
            keywords[_SPELT[name]] = list(cast("Sequence[Any]", value)) if name == "enum" else value
    return Rules(keywords)


def setting(*, default: Any = MISSING, default_factory: Callable[[], Any] | None = None, **given: Unpack[Keywords]) -> Any:
    """A field of a configuration class with rules.

    Args:
        default: Value when left out; a list, dict or set is copied for each configuration. Without it the setting is required.
        default_factory: Makes the value when left out.
        given: Rules, as in ``Keywords``.
    """
    keywords = rules(**given).keywords
    metadata = {RULES: keywords}
    shown = "x-secret" not in keywords  # a configuration that is printed shows no secret
    if default_factory is not None:
        return dataclasses.field(default_factory=default_factory, metadata=metadata, repr=shown)
    if isinstance(default, (list, dict, set)):
        return dataclasses.field(default_factory=cast("Any", default).copy, metadata=metadata, repr=shown)
    if default is MISSING:
        return dataclasses.field(metadata=metadata, repr=shown)
    return dataclasses.field(default=default, metadata=metadata, repr=shown)


_TEXT, _NUMBER, _LIST, _OBJECT = "string", "number", "array", "object"

_BELONGS = {
    "minimum": _NUMBER, "maximum": _NUMBER, "exclusiveMinimum": _NUMBER, "exclusiveMaximum": _NUMBER, "multipleOf": _NUMBER,
    "pattern": _TEXT, "format": _TEXT, "minLength": _TEXT, "maxLength": _TEXT, "minItems": _LIST, "maxItems": _LIST, "uniqueItems": _LIST,
    "minProperties": _OBJECT, "maxProperties": _OBJECT,
}  # fmt: skip


def check_rules(keywords: Mapping[str, Any], schema: Mapping[str, Any]) -> None:
    """Refuses rules that cannot be checked.

    Raises:
        PluginError: a pattern or a format is none, or a rule is about another type than the setting has.
    """
    if "pattern" in keywords:
        try:
            re.compile(keywords["pattern"])
        except re.error as err:
            raise PluginError(f"pattern {keywords['pattern']!r} is no regular expression: {err}") from None
    if "format" in keywords and keywords["format"] not in (*FORMATS, "port"):
        raise PluginError(f"format is {keywords['format']!r}; expected one of port, {', '.join(FORMATS)}")
    kinds = schema.get("type")
    known = {kinds} if isinstance(kinds, str) else set(cast("list[str]", kinds or []))
    for keyword in keywords:
        wanted = _NUMBER if keyword == "format" and keywords[keyword] == "port" else _BELONGS.get(keyword)
        if wanted is not None and known and wanted not in known and not (wanted == _NUMBER and "integer" in known):
            raise PluginError(f"{keyword} is a rule for {wanted}s; the setting is a {' or '.join(sorted(known - {'null'}))}")
