"""Addresses to listen on."""

from __future__ import annotations

import dataclasses
import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path

MAX_UNIX_PATH = 107


class BadAddress(Exception):
    """An address cannot be listened on; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """A unix path, or a host with a port."""

    network: str
    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def grpc(self) -> str:
        """As grpcio writes it."""
        if self.network == "unix":
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def local(self) -> bool:
        """Whether it is on this machine alone."""
        if self.network == "unix" or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:  # a name: it may be anybody's
            return False

    @property
    def reachable(self) -> str:
        """As Describe names it. A wildcard leaves the host part out: the gateway takes that of the control plane."""
        try:
            wildcard = ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            wildcard = False
        return f":{self.port}" if wildcard else self.grpc

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.network == "unix" else f"tcp://{self.grpc}"


def parse_address(text: str) -> Address:
    """The address of ``unix:///path`` or ``tcp://host:port``. No host means every address of the machine.

    Raises:
        BadAddress: it is neither.
    """
    scheme, _, rest = text.partition("://")
    if scheme == "unix" and rest.startswith("/"):
        return unix_address(rest)
    if scheme == "tcp" and ":" in rest:
        host, _, port = rest.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise BadAddress(f"address {text!r} has the port {port!r}; expected 0 to 65535")
        return Address("tcp", host=host or "0.0.0.0", port=int(port))
    raise BadAddress(f"address {text!r}; expected unix:///path/to/socket or tcp://host:port")


def beside(control: Address) -> Address:
    """Where the data plane is unless it is said: a second socket file, or another port."""
    return unix_address(f"{control.path}.data") if control.network == "unix" else dataclasses.replace(control, port=0)


def check_reach(address: Address) -> None:
    """Refuses an address that other machines reach; for servers without TLS.

    Raises:
        BadAddress: they do.
    """
    if not address.local:
        raise BadAddress(
            f"{address} can be reached from other machines: expected a loopback address, or --tls-cert, --tls-key and --tls-client-ca"
        )


def unix_address(path: str) -> Address:
    """A unix path, short enough for the system."""
    if len(os.fsencode(path)) > MAX_UNIX_PATH:
        raise BadAddress(f"socket path {path!r} has {len(os.fsencode(path))} bytes; the system allows {MAX_UNIX_PATH}")
    return Address("unix", path=path)


def clear_socket_file(path: str) -> None:
    """Removes the socket file of a server that is gone.

    Raises:
        BadAddress: somebody listens there, or it is no socket.
    """
    file = Path(path)
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise BadAddress(f"{path} exists and is no socket; remove it or choose another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError as err:
            if err.errno in (errno.ECONNREFUSED, errno.ENOENT):
                file.unlink(missing_ok=True)
                return
            raise BadAddress(f"{path}: {err.strerror}") from None
    raise BadAddress(f"{path}: another server listens there")


def listen(address: Address) -> socket.socket:
    """A listening socket; a unix one only for its owner.

    Raises:
        BadAddress: it cannot be had.
    """
    try:
        if address.network == "unix":
            clear_socket_file(address.path)
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                sock.bind(address.path)
            finally:
                os.umask(before)
        else:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((address.host, address.port))
        sock.listen(16)
    except OSError as err:
        raise BadAddress(f"listen on {address}: {err.strerror}") from None
    return sock
