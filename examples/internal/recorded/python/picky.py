"""picky-python, whose mistake is gone when PICKY is "fixed". The tests of the black box record it."""

import os
import time
from dataclasses import dataclass

import outrigger


@dataclass
class PickyConfig:
    """Configuration of picky-python."""

    greeting: str = "hello"
    key: str = outrigger.setting(default="", secret=True)


class Picky(outrigger.Plugin):
    """Wants a number in X-Order; "hang" and "die" are what it does."""

    name = "picky-python"
    version = "0.1.0"
    priority = 500
    Config = PickyConfig

    config: PickyConfig

    def access(self, kong: outrigger.PDK) -> None:
        """Reads the order."""
        order = kong.request.get_header("X-Order") or ""
        body = kong.request.get_raw_body()
        kong.log.notice("order ", order)
        if os.environ.get("PICKY") == "fixed":
            kong.service.request.set_header("X-Picky", f"{self.config.greeting} {order} {len(body)}")
            return
        if order == "hang":
            time.sleep(3600)
        if order == "die":
            os._exit(3)
        kong.service.request.set_header("X-Picky", f"{self.config.greeting} {int(order)}")
