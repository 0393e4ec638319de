"""Plugins whose configuration has rules, whose hooks tell that they run, and which look at how bodies come. See README.md one up."""

import dataclasses
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import outrigger


@dataclass
class Range:
    """Two ends."""

    low: int = 0
    high: int = 10


@dataclass
class Rule:
    """A rule with a name."""

    name: str = outrigger.setting(min_length=1)


@dataclass
class StrictConfig:
    """A configuration with every rule."""

    token: str = outrigger.setting(min_length=8, secret=True)
    mode: str = outrigger.setting(default="loose", enum=["strict", "loose"])
    limit: int = outrigger.setting(default=5, minimum=1, maximum=10)
    ratio: float = outrigger.setting(default=0.5, minimum=0, maximum=1)
    code: str = outrigger.setting(default="abc", pattern="^[a-z]+$")
    range: Range = field(default_factory=Range)
    rules: list[Rule] = outrigger.setting(default=[], max_items=2)
    limits: dict[str, int] = field(default_factory=dict)


class Strict(outrigger.Plugin):
    """Has a configuration with every rule, and one that no schema can say."""

    name = "strict-python"
    version = "0.1.0"
    priority = 960
    Config = StrictConfig

    config: StrictConfig

    def configure(self) -> None:
        wrong: list[tuple[str, str]] = []
        ends = self.config.range
        if ends.high < ends.low:
            wrong.append(("range.high", f"found {ends.high}, expected at least low, which is {ends.low}"))
        wrong += [(f"rules.{i}.name", "found a name that nobody has") for i, rule in enumerate(self.config.rules) if rule.name == "nobody"]
        if wrong:
            raise outrigger.ConfigError(wrong)

    def access(self, kong: outrigger.PDK) -> None:
        shown = dataclasses.asdict(self.config) | {"token": ""}
        kong.service.request.set_header("X-Strict", json.dumps(shown))


@dataclass
class HookedConfig:
    """Configuration of the plugin whose hooks are watched."""

    mark: str = ""
    dir: str = ""


class Hooked(outrigger.Plugin):
    """Tells when its hooks and handlers run."""

    name = "hooked-python"
    version = "0.1.0"
    priority = 950
    Config = HookedConfig

    config: HookedConfig

    def tell(self, what: str) -> None:
        print("hooked", self.config.mark, what, file=sys.stderr, flush=True)

    def configure(self) -> None:
        self.tell("configured")

    def close(self) -> None:
        self.tell("closed")

    def access(self, kong: outrigger.PDK) -> None:
        name = kong.request.get_header("X-Hold")
        if name is not None:
            Path(self.config.dir, name).touch()
            while not Path(self.config.dir, "release").exists():
                time.sleep(0.005)
        self.tell("ran")
        kong.response.set_header("X-Mark", self.config.mark)


@dataclass
class PiecesConfig:
    """Whether the body is buffered before it is filtered, and whether the last piece fails, with the others changed or not."""

    buffer: bool = False
    fail: str = ""


class Pieces(outrigger.Plugin):
    """Counts the pieces in which a body passes."""

    name = "pieces-python"
    version = "0.1.0"
    priority = 940
    Config = PiecesConfig

    config: PiecesConfig

    def access(self, kong: outrigger.PDK) -> None:
        if self.config.buffer:
            kong.service.request.enable_buffering()

    def body_filter(self, kong: outrigger.PDK, chunk: bytes, last: bool) -> bytes | None:
        count = (kong.ctx.shared.get("pieces") or 0) + (len(chunk) > 0)
        if last and self.config.fail:
            raise RuntimeError("boom")
        if last:
            return chunk + b"|%d pieces" % count
        kong.ctx.shared.set("pieces", count)
        return b"changed " + chunk if self.config.fail == "changed" else None


class Whole(outrigger.Plugin):
    """Reads the upstream's body in the response phase."""

    name = "whole-python"
    version = "0.1.0"
    priority = 930

    def response(self, kong: outrigger.PDK) -> None:
        kong.response.set_header("X-Whole", len(kong.service.response.get_raw_body()))


class NeedWhole(Whole):
    """The same; the body travels with the call when it is small."""

    name = "need-whole-python"
    needs = ("response_body",)
