"""Kong's Python plugins on this gateway, with their own idioms.

A module in Kong's shape is served as it is by ``python -m outrigger serve PATH``, which also answers its imports of ``kong_pdk``::

    Schema = ({"message": {"type": "string"}},)
    version = "0.1.0"
    priority = 100

    class Plugin(object):
        def __init__(self, config):
            self.config = config

        def access(self, kong):
            host, err = kong.request.get_header("host")
            kong.response.set_header("x-hello", f"{self.config.get('message', 'hello')} {host}")

    if __name__ == "__main__":
        from outrigger.kongcompat.cli import start_dedicated_server
        start_dedicated_server("hello", Plugin, version, priority, Schema)

What differs from Kong:

* Functions return ``(value, err)``, or raise with ``--no-lua-style``. ``err`` is what the data or the gateway cannot answer. A wrong
  argument or phase raises in both styles and fails the handler, as in Kong it fails the request.
* ``kong.response.exit`` and ``error`` never return: they unwind the handler with a private ``BaseException``.
* Maps of headers and arguments hold lists, entities are dicts, raw bodies are bytes. A configuration holds its defaults.
* A function that does not exist answers an error and writes one line at level warn.
* The phases certificate and preread are not called; a line on standard error says so.

``adapt`` makes a class for ``outrigger.testing`` of such a plugin.
"""

from __future__ import annotations

from .adapt import adapt
from .cli import start_dedicated_server
from .exception import PDKException
from .handle import Kong

__all__ = ["Kong", "PDKException", "adapt", "start_dedicated_server"]
