"""stamp-python leaves a mark in three phases: a response header, a trailer after the body, and a log line."""

from dataclasses import dataclass

import outrigger


@dataclass
class StampConfig:
    """Configuration of stamp-python."""

    mark: str = outrigger.setting(default="python", description="value of X-Stamp-Python")
    trailer: str = outrigger.setting(default="\n-- stamped by python\n", description="text that is appended to the body")


class Stamp(outrigger.Plugin):
    """Marks header, body and log."""

    name = "stamp-python"
    version = "0.1.0"
    priority = 300
    Config = StampConfig

    config: StampConfig

    def header_filter(self, kong: outrigger.PDK) -> None:
        """Sets the mark. The body gets longer, so its length must not be announced."""
        kong.response.set_header("X-Stamp-Python", self.config.mark)
        kong.response.clear_header("Content-Length")

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        """Appends the trailer to the last piece."""
        return chunk + self.config.trailer.encode() if last else None

    def log(self, kong: outrigger.PDK) -> None:
        """Writes one line."""
        kong.log.info("stamped ", kong.request.get_method(), " ", kong.request.get_path(), " ", kong.response.get_status())
