"""The files of mutual TLS, for both planes.

They are looked at again at every handshake, so that a renewed certificate is used without a restart. Files that do not fit together, such
as half of a renewal, change nothing: what was loaded before stays in use.
"""

from __future__ import annotations

import os
import ssl
import sys
import threading
from dataclasses import dataclass

import grpc

_ATTEMPTS = 3
"""Times that files are read which are replaced meanwhile."""


class BadCertificates(Exception):
    """Files of TLS cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Files:
    """Paths of PEM files: this server's certificate, its key, and the certificates that gateways must be signed by."""

    cert: str
    key: str
    client_ca: str


@dataclass(frozen=True, slots=True)
class _Loaded:
    context: ssl.SSLContext
    cert: bytes
    key: bytes
    client_ca: bytes


class Certificates:
    """What the files hold now.

    Raises:
        BadCertificates: they cannot be used.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._seen = self._look()
        self._loaded = self._load()

    def context(self) -> ssl.SSLContext:
        """The side of a server, for one handshake."""
        return self._current().context

    def grpc(self) -> grpc.ServerCredentials:
        """The same for a gRPC server, which asks again at every handshake."""
        used = self._current()

        def configuration(loaded: _Loaded) -> grpc.ServerCertificateConfiguration:
            return grpc.ssl_server_certificate_configuration([(loaded.key, loaded.cert)], root_certificates=loaded.client_ca)

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal used
            now = self._current()
            if now is used:
                return None
            used = now
            return configuration(now)

        return grpc.dynamic_ssl_server_credentials(
            configuration(used),
            renewed,  # pyright: ignore[reportArgumentType] - the stubs do not know that None stands for no change
            require_client_authentication=True,
        )

    def _current(self) -> _Loaded:
        with self._lock:
            seen = self._look()
            if seen == self._seen:
                return self._loaded
            self._seen = seen  # a broken file is told once, not at every handshake
            try:
                self._loaded = self._load()
            except BadCertificates as err:
                print(
                    f"outrigger: the certificates have changed but cannot be used: the ones before stay in use: {err}",
                    file=sys.stderr,
                    flush=True,
                )
            else:
                print(f"outrigger: the certificates have changed and are in use: {self._files.cert}", file=sys.stderr, flush=True)
            return self._loaded

    def _look(self) -> list[tuple[int, ...] | None]:
        """Which files are there; None for one that is not."""
        seen: list[tuple[int, ...] | None] = []
        for path in (self._files.cert, self._files.key, self._files.client_ca):
            try:
                found = os.stat(path)  # noqa: PTH116 - a Path for each handshake is not needed
                seen.append((found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns))
            except OSError:
                seen.append(None)
        return seen

    def _load(self) -> _Loaded:
        """Reads the files, once more when they are replaced meanwhile: both planes must get the same."""
        for _ in range(_ATTEMPTS - 1):
            seen = self._look()
            loaded = _load(self._files)
            if seen == self._look():
                return loaded
        return _load(self._files)


def _load(files: Files) -> _Loaded:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.num_tickets = 0  # who resumes a session is not verified again
    cert, key = _read("--tls-cert", files.cert), _read("--tls-key", files.key)
    client_ca = _read("--tls-client-ca", files.client_ca)
    try:
        context.load_cert_chain(files.cert, files.key, password="")  # an encrypted key must not ask at a terminal
    except (ssl.SSLError, OSError) as err:
        raise BadCertificates(
            f"loading --tls-cert {files.cert} and --tls-key {files.key}: {err}; expected a certificate and its key in PEM form"
        ) from None
    try:
        context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as err:
        raise BadCertificates(f"loading --tls-client-ca {files.client_ca}: {err}; expected certificates in PEM form") from None
    return _Loaded(context, cert, key, client_ca)


def _read(flag: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return file.read()
    except OSError as err:
        raise BadCertificates(f"loading {flag} {path}: {err.strerror}") from None
