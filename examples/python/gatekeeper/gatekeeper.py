"""gatekeeper-python turns requests away: a header with one of the listed values gets 403."""

from dataclasses import dataclass

import outrigger


@dataclass
class GatekeeperConfig:
    """Configuration of gatekeeper-python."""

    header: str = outrigger.setting(default="X-Deny", min_length=1, description="request header to look at")
    values: list[str] = outrigger.setting(default=["1"], min_items=1, description="values that are turned away")
    message: str = outrigger.setting(default="denied by gatekeeper", description="message of the answer")


class Gatekeeper(outrigger.Plugin):
    """Answers 403 with a JSON body."""

    name = "gatekeeper-python"
    version = "0.1.0"
    priority = 900
    Config = GatekeeperConfig

    config: GatekeeperConfig

    def access(self, kong: outrigger.PDK) -> None:
        """Ends the request when the header has one of the values."""
        if kong.request.get_header(self.config.header) in self.config.values:
            kong.response.exit(403, {"message": self.config.message, "plugin": self.name})
