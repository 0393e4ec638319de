"""``python -m outrigger serve PATH...`` and ``python -m outrigger describe PATH...``."""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ._runtime.faults import NoThread, end_in_order, guard_process, start_thread

if TYPE_CHECKING:
    from ._runtime.address import Address
    from ._runtime.certificates import Certificates
    from ._runtime.plugins import PluginSpec
    from ._runtime.server import Server

COOKIE_KEY = "OUTRIGGER_PLUGIN"
COOKIE_VALUE = "82f1b1a5c0d94e1f"
RUN_DIR = "OUTRIGGER_RUN_DIR"
LIFELINE = "OUTRIGGER_LIFELINE_FD"

_EXIT_SECONDS = 3.0
_LEAVE_SECONDS = 5.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m outrigger", description="Hosts Outrigger plugins written in Python.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="host plugins: started by the gateway, or with --listen for a gateway to attach to")
    serve.add_argument("paths", nargs="+", metavar="PATH", help="file, directory, package or module that holds plugins")
    add_listen_arguments(serve)
    serve.add_argument(
        "--workers",
        type=int,
        default=16,
        metavar="N",
        help="threads for handlers that wait, without those whose calls are over (default 16)",
    )
    serve.add_argument(
        "--no-lua-style", action="store_true", help="plugins in Kong's shape: functions raise instead of returning (value, err)"
    )
    describe = commands.add_parser("describe", help="print the manifest of the plugins as JSON")
    describe.add_argument("paths", nargs="+", metavar="PATH", help="file, directory, package or module that holds plugins")
    args = parser.parse_args(argv)
    out = keep_stdout()

    def specs() -> list[PluginSpec]:
        from ._loader import load

        return load(args.paths, lua_style=not getattr(args, "no_lua_style", False))

    if args.command == "describe":
        return describe_plugins(specs, out)
    return serve_plugins(specs, args, out)


def add_listen_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds what says where to serve; docs/guides/attached.md."""
    parser.add_argument("--listen", metavar="ADDRESS", help="serve at unix:///path/to/socket or tcp://host:port")
    parser.add_argument("--listen-data", metavar="ADDRESS", help="address of the data plane; default: beside --listen")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate of this server, PEM")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key, PEM")
    parser.add_argument("--tls-client-ca", metavar="FILE", help="certificates that gateways must be signed by, PEM")


def keep_stdout() -> int:
    """Sends standard output to standard error from now on; the descriptor of the original one."""
    sys.stdout.flush()
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _fail(err: Exception) -> int:
    cause = err.__cause__
    if cause is not None:
        traceback.print_exception(cause)
    print(f"outrigger: {err}", file=sys.stderr, flush=True)
    return 1


def describe_plugins(load: Callable[[], list[PluginSpec]], out: int) -> int:
    """Prints the manifest of plugins; the exit code."""
    from ._errors import PluginError

    try:
        manifests = [spec.manifest() for spec in load()]
    except PluginError as err:
        return _fail(err)
    with os.fdopen(out, "w", encoding="utf-8") as stream:
        json.dump({"plugins": manifests}, stream, indent=2)
        stream.write("\n")
    return 0


def serve_plugins(load: Callable[[], list[PluginSpec]], args: argparse.Namespace, out: int) -> int:
    """Serves plugins until it is told to stop; the exit code.

    Args:
        load: gives the plugins.
        args: what ``add_listen_arguments`` adds, and ``workers``.
        out: where the handshake goes.
    """
    managed = os.environ.get(COOKIE_KEY) == COOKIE_VALUE
    if args.listen is None and not managed:
        print(
            "outrigger: this is a plugin server: the gateway starts it (plugin_servers: command: python -m outrigger serve ...).\n"
            "To run it by itself, say where to listen: --listen unix:///path/to/socket or --listen tcp://127.0.0.1:port",
            file=sys.stderr,
        )
        return 1
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")  # plugins may start processes; gRPC need not survive in a fork
    sys.setswitchinterval(0.0005)  # a handler that computes must not starve the others
    running: list[Server] = []
    guard_process()
    if managed:
        _watch_lifeline(running)

    from ._errors import PluginError
    from ._runtime.address import BadAddress
    from ._runtime.certificates import BadCertificates
    from ._runtime.server import Server as RealServer

    try:
        control, data, certificates = _where(args)
        specs = load()
        server = RealServer(specs, workers=args.workers)
        running.append(server)
        stop = server.stop_asked
        stop.listen(signal.SIGTERM, signal.SIGINT)
        if managed:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the host's business
        bound = server.start(control, data, certificates)
    except (PluginError, BadAddress, BadCertificates, NoThread) as err:
        for server in running:
            server.remove_files()
        return _fail(err)
    gc.collect()
    gc.freeze()  # what is loaded now stays: no collection needs to walk it again
    if managed and args.listen is None:
        os.write(out, f"1|1|unix|{bound.path}|grpc\n".encode())
    else:
        names = ", ".join(spec.name for spec in specs)
        print(f"outrigger: serving {names} at {bound}", file=sys.stderr, flush=True)
    stop.wait()
    if not managed:  # the host that has started this process has let it drain
        server.leave(_LEAVE_SECONDS)
    _limit_exit()
    end_in_order()
    server.stop()
    return 0


def _where(args: argparse.Namespace) -> tuple[Address, Address, Certificates | None]:
    """Addresses of control plane and data plane, and the certificates for both."""
    from ._runtime.address import BadAddress, beside, parse_address, unix_address
    from ._runtime.certificates import Certificates, Files

    if args.listen is None:
        directory = os.environ.get(RUN_DIR) or _private_directory()
        control = unix_address(f"{directory}/py{os.getpid()}.sock")
        return control, unix_address(f"{directory}/py{os.getpid()}.data"), None
    control = parse_address(args.listen)
    data = beside(control) if args.listen_data is None else parse_address(args.listen_data)
    files = (args.tls_cert, args.tls_key, args.tls_client_ca)
    if not any(files):
        return control, data, None
    if not all(files):
        raise BadAddress("--tls-cert, --tls-key and --tls-client-ca belong together")
    return control, data, Certificates(Files(*files))


def _private_directory() -> str:
    import tempfile

    return tempfile.mkdtemp(prefix="outrigger-")


def _watch_lifeline(running: list[Server]) -> None:
    """Ends the process as soon as the host is gone: then the lifeline is at its end."""
    text = os.environ.get(LIFELINE)
    if not text:
        return
    try:
        descriptor = int(text)
        os.set_inheritable(descriptor, False)
    except (ValueError, OSError) as err:
        print(f"outrigger: {LIFELINE}={text!r} is no open descriptor: {err}", file=sys.stderr, flush=True)
        sys.exit(1)

    def wait() -> None:
        with contextlib.suppress(OSError):
            while os.read(descriptor, 64):
                pass
        for server in running:
            server.remove_files()
        os._exit(0)

    refused = start_thread("outrigger-lifeline", wait)
    if refused:
        sys.exit(_fail(NoThread(refused)))


def _limit_exit() -> None:
    """A plugin's thread or exit hook must not keep the process alive."""

    def wait() -> None:
        time.sleep(_EXIT_SECONDS)
        os._exit(0)

    if start_thread("outrigger-exit", wait) and sys.platform != "win32":  # no thread: the system ends the process then
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _EXIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
