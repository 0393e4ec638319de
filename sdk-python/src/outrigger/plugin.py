"""What a plugin is: a class with a name, a version and a method per phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class Plugin:
    """Base of every plugin. Having a method of these names is handling that phase:

    ========================================================  =====================================================
    ``def rewrite(self, kong: PDK) -> None``                  before the router; only for plugins configured globally
    ``def access(self, kong: PDK) -> None``                   before the request goes upstream
    ``def response(self, kong: PDK) -> None``                 when the upstream's headers have arrived
    ``def header_filter(self, kong: PDK) -> None``            before headers go to the client
    ``def body_filter(self, kong: PDK, chunk: bytes, last: bool) -> bytes | None``  each piece of the body; None leaves it unchanged
    ``def log(self, kong: PDK) -> None``                      after the response was sent
    ========================================================  =====================================================

    Each may be ``async def`` instead and then gets an ``AsyncPDK``. ``configure(self)`` runs when an instance has been made and may
    raise to refuse its configuration (``ConfigError`` names the fields), ``close(self)`` when it is no longer needed.

    Handlers of one instance run at the same time: ``def`` handlers on several threads, ``async def`` handlers on one event loop.

    Attributes:
        name: How configurations name the plugin: letters, digits, ``-``, ``_`` and ``.``.
        version: Version of the plugin.
        priority: Plugins with a higher one run first.
        authenticates: The plugin sets the consumer, so it must not fail open by accident.
        needs: What the host sends ahead: ``"request_body"``, ``"response_body"``.
        blocking: ``def`` handlers mostly wait (for a database, for files): run them on worker threads from the start. Left at False,
            handlers that turn out to wait are moved there.
        Config: Dataclass of the configuration, or a list of fields in Kong's style, whose configurations are dicts; None for a plugin that
            takes none.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = ""
    priority: ClassVar[int] = 0
    authenticates: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    blocking: ClassVar[bool] = False
    Config: ClassVar[type[Any] | Sequence[Mapping[str, Any]] | None] = None

    def __init__(self, config: Any) -> None:
        """Takes the configuration: an instance of ``Config``, or a dict when it is no class."""
        self.config = config
