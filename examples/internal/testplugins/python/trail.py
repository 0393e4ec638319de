"""A plugin that leaves in every phase which record of it has run. See README.md one up."""

from dataclasses import dataclass

import outrigger


@dataclass
class TrailConfig:
    """Which configuration a record is of, and for whom."""

    mark: str = ""
    of: str = ""


class Trail(outrigger.Plugin):
    """Leaves number/of@mark."""

    name = "trail-5-python"
    version = "0.1.0"
    priority = 700
    Config = TrailConfig

    config: TrailConfig

    def step(self) -> str:
        return f"5/{self.config.of}@{self.config.mark}"

    def access(self, kong: outrigger.PDK) -> None:
        kong.service.request.add_header("X-Trail-Access", self.step())

    def header_filter(self, kong: outrigger.PDK) -> None:
        kong.response.add_header("X-Trail", self.step())

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        return chunk + b"\n" + self.step().encode() if last else None

    def log(self, kong: outrigger.PDK) -> None:
        request = kong.request.get_header("X-Trail-Log")
        if request is not None:
            kong.log.notice("trail ", request, " ", self.step())
