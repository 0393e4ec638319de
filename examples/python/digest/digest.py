"""digest-python sets a header with the hash of the upstream's body; configured globally it marks the request before the router, too."""

import hashlib

import outrigger


class Digest(outrigger.Plugin):
    """Hashes the buffered body."""

    name = "digest-python"
    version = "0.1.0"
    priority = 200

    def rewrite(self, kong: outrigger.PDK) -> None:
        """Runs only when the plugin is configured globally: a route is not known yet."""
        kong.service.request.set_header("X-Rewritten-Python", 1)

    def response(self, kong: outrigger.PDK) -> None:
        """Asks for the body, which buffers it."""
        digest = hashlib.sha256(kong.service.response.get_raw_body()).hexdigest()
        kong.response.set_header("X-Digest-Python", f"sha256={digest}")
