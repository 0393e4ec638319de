"""The fault plugin server in Python. See README.md beside this directory."""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import outrigger

if Path(os.environ.get("CHAOS_DIR", ""), "exit").exists():
    os._exit(3)


@dataclass
class Settings:
    """Configuration of every plugin."""

    instance: str
    letter: str = "x"


def mark(kong: outrigger.PDK, config: Settings) -> str:
    """Proves which instance worked on which request."""
    return f"{config.instance} {kong.request.get_header('X-Nonce')}"


def obey(kong: outrigger.PDK, phase: str) -> None:
    """Does what the header X-Chaos orders for the phase."""
    order, *words = (kong.request.get_header("X-Chaos") or "none").split()
    if words and words[0] == phase:
        ORDERS[order](*words[1:])


def hang(ms: str) -> None:
    time.sleep(int(ms) / 1000)


def fail() -> None:
    raise RuntimeError("ordered to fail")


def die() -> None:
    os._exit(3)


def raw(which: str, head: str, kib: str) -> None:
    """Writes bytes that nobody expects to the host."""
    data = bytes.fromhex(head) + bytes(int(kib) << 10)
    for fd in connections(which):
        copy = socket.socket(fileno=os.dup(fd))
        try:
            copy.send(data, socket.MSG_DONTWAIT)
        except OSError:
            pass  # the host may have closed it, or its buffer may be full
        finally:
            copy.close()


def connections(which: str) -> list[int]:
    """The descriptors of the connections of one socket in the run directory: control, or the one for calls."""
    control = f"py{os.getpid()}.sock"
    paths = connected()
    found: list[int] = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue  # closed since
        path = paths.get(target.removeprefix("socket:[").removesuffix("]"))
        if path is not None and (path.name == control) == (which == "control"):
            found.append(int(entry.name))
    return found


def connected() -> dict[str, Path]:
    """The paths of the connected sockets in the run directory, by inode."""
    directory = Path(os.environ["OUTRIGGER_RUN_DIR"])
    paths: dict[str, Path] = {}
    for line in Path("/proc/net/unix").read_text().splitlines():
        fields = line.split()  # address, references, protocol, flags, type, state, inode, path
        if len(fields) == 8 and fields[5] == "03" and Path(fields[7]).parent == directory:
            paths[fields[6]] = Path(fields[7])
    return paths


STEP = 8 << 20  # what hog takes at a time, bytes


def hog(mib: str, ms: str) -> None:
    taken = [bytearray(b"\1") * STEP for _ in range((int(mib) << 20) // STEP)]
    later(int(ms), taken.clear)


def bomb(n: str) -> None:
    for _ in range(int(n)):
        shell = subprocess.Popen(["sh", "-c", "sleep 300 & sleep 300 & wait"])
        threading.Thread(target=shell.wait, daemon=True).start()


def descriptors(ms: str) -> None:
    taken: list[int] = []
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        later(int(ms), lambda: [os.close(fd) for fd in taken])


def log_line() -> None:
    with Path("/dev/full").open("w") as file:
        file.write("a line\n")
        file.flush()


def later(ms: int, do: Callable[[], object]) -> None:
    timer = threading.Timer(ms / 1000, do)
    timer.daemon = True
    timer.start()


ORDERS: dict[str, Callable[..., None]] = {
    "hang": hang,
    "fail": fail,
    "die": die,
    "raw": raw,
    "hog": hog,
    "bomb": bomb,
    "descriptors": descriptors,
    "log": log_line,
}


class Rewrite(outrigger.Plugin):
    """Marks the request before it is routed."""

    name = "chaos-rewrite-python"
    version = "0.1.0"
    priority = 1000
    Config = Settings

    config: Settings

    def rewrite(self, kong: outrigger.PDK) -> None:
        obey(kong, "rewrite")
        kong.service.request.set_header("X-Chaos-Rewrite", mark(kong, self.config))


class Gate(outrigger.Plugin):
    """Denies requests, and marks those that it lets pass."""

    name = "chaos-python"
    version = "0.1.0"
    priority = 990
    Config = Settings

    config: Settings

    def access(self, kong: outrigger.PDK) -> None:
        obey(kong, "access")
        if kong.request.get_header("X-Deny") is not None:
            kong.response.exit(403, f"denied by {mark(kong, self.config)}\n")
        kong.service.request.set_header("X-Chaos-Access", mark(kong, self.config))

    def header_filter(self, kong: outrigger.PDK) -> None:
        obey(kong, "header_filter")
        kong.response.set_header("X-Chaos-Filter", mark(kong, self.config))

    def log(self, kong: outrigger.PDK) -> None:
        obey(kong, "log")


class Body(outrigger.Plugin):
    """Marks the body."""

    name = "chaos-body-python"
    version = "0.1.0"
    priority = 980
    Config = Settings

    config: Settings

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        obey(kong, "body_filter")
        return chunk.replace(b"?", self.config.letter.encode())


class Response(outrigger.Plugin):
    """Marks the response once its head has arrived."""

    name = "chaos-response-python"
    version = "0.1.0"
    priority = 970
    Config = Settings

    config: Settings

    def response(self, kong: outrigger.PDK) -> None:
        obey(kong, "response")
        kong.response.set_header("X-Chaos-Response", mark(kong, self.config))
