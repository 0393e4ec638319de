"""The plugin server of the load with faults in Python. See README.md beside this directory."""

import hashlib
import os

import outrigger

SERVER = os.environ.get("FAULTS_SERVER", "python")


def token_of(kong: outrigger.PDK) -> str:
    """The token of a request."""
    return kong.request.get_header("X-Token") or ""


class Token(outrigger.Plugin):
    """Takes the token of a request to the upstream, and looks whether it comes back."""

    name = f"faults-token-{SERVER}"
    version = "0.1.0"
    priority = 1000

    def access(self, kong: outrigger.PDK) -> None:
        own = token_of(kong)
        kong.ctx.plugin.set("token", own)
        kong.service.request.set_header(f"X-Seen-{SERVER}", own)

    def response(self, kong: outrigger.PDK) -> None:
        own, kept = token_of(kong), kong.ctx.plugin.get("token")
        theirs = kong.service.response.get_header("X-Token")
        if kept != own or theirs not in (None, own):
            kong.response.set_header("X-Crossed", f"{SERVER}: kept {kept}, asked by {own}, answered to {theirs}")
            return
        kong.response.set_header(f"X-Checked-{SERVER}", own)


class Exit(outrigger.Plugin):
    """Answers in place of the upstream."""

    name = f"faults-exit-{SERVER}"
    version = "0.1.0"
    priority = 990

    def access(self, kong: outrigger.PDK) -> None:
        wanted = kong.request.get_header("X-Exit")
        if wanted is None:
            return
        size, token = int(wanted), token_of(kong)
        line = f"{token}\n".encode()
        kong.response.exit(403, (line * (size // len(line) + 1))[:size], {"X-Token": token})


class Body(outrigger.Plugin):
    """Reads both bodies."""

    name = f"faults-body-{SERVER}"
    version = "0.1.0"
    priority = 980

    def access(self, kong: outrigger.PDK) -> None:
        kong.service.request.set_header(f"X-Sum-{SERVER}", hashlib.sha256(kong.request.get_raw_body()).hexdigest())

    def response(self, kong: outrigger.PDK) -> None:
        kong.response.set_header(f"X-Digest-{SERVER}", hashlib.sha256(kong.service.response.get_raw_body()).hexdigest())
