"""``start_dedicated_server``, with which Kong's Python plugins end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def start_dedicated_server(
    name: str,
    plugin: type[Any],
    version: str | None = None,
    priority: int = 0,
    schema: Sequence[Mapping[str, Any]] | None = None,
) -> None:
    """Serves one plugin, as ``python -m outrigger serve`` does, and ends the process.

    The command line of the plugin takes ``--listen ADDRESS`` and what goes with it, ``--workers N`` and ``--no-lua-style``.
    Kong's own options are accepted and do nothing; ``--dump`` prints the manifest.
    """
    from ..__main__ import add_listen_arguments, describe_plugins, keep_stdout, serve_plugins
    from .adapt import adapt

    parser = argparse.ArgumentParser(description=f"Serves the plugin {name}.")
    add_listen_arguments(parser)
    parser.add_argument("--workers", type=int, default=16, metavar="N", help="most threads for handlers that wait (default 16)")
    parser.add_argument("--no-lua-style", action="store_true", help="functions raise instead of returning (value, err)")
    parser.add_argument("--dump", action="store_true", help="print the manifest as JSON")
    for theirs in ("-p", "--kong-prefix", "--socket-name"):
        parser.add_argument(theirs, help=argparse.SUPPRESS)
    for theirs in ("-v", "--verbose", "-m", "--multiprocessing", "-g", "--gevent"):
        parser.add_argument(theirs, action="count", help=argparse.SUPPRESS)
    args = parser.parse_args()
    out = keep_stdout()

    def specs() -> list[Any]:
        from .._runtime.plugins import PluginSpec

        return [PluginSpec(adapt(name, plugin, version, priority, schema, lua_style=not args.no_lua_style))]

    if args.dump:
        sys.exit(describe_plugins(specs, out))
    sys.exit(serve_plugins(specs, args, out))
