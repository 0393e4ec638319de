"""The plugins of the benchmark in Python, with the same names and the same work as in Go."""

from dataclasses import dataclass

import outrigger


class Work(outrigger.Plugin):
    """Reads two request headers and sets one header on both sides."""

    name = "bench-work"
    version = "0.1.0"
    priority = 509
    header = "X-Bench"

    def access(self, kong: outrigger.PDK) -> None:
        """Greets whom X-Name names, if somebody asks."""
        name = kong.request.get_header("X-Name")
        agent = kong.request.get_header("User-Agent")
        if not agent:
            return
        text = f"hello, {name or ''}"
        kong.service.request.set_header(self.header, text)
        kong.response.set_header(self.header, text)


class Work2(Work):
    """The same with a header of its own, as the next ones."""

    name = "bench-work-2"
    priority = 508
    header = "X-Bench-2"


class Work3(Work):
    name = "bench-work-3"
    priority = 507
    header = "X-Bench-3"


class Work4(Work):
    name = "bench-work-4"
    priority = 506
    header = "X-Bench-4"


class Work5(Work):
    name = "bench-work-5"
    priority = 505
    header = "X-Bench-5"


@dataclass
class CallsConfig:
    """Configuration of bench-calls."""

    calls: int = outrigger.setting(default=1, minimum=0, maximum=1000)


READ = ("User-Agent", "Accept", "X-Name", "Authorization", "X-Absent")


class Calls(outrigger.Plugin):
    """Calls the PDK as often as its configuration says."""

    name = "bench-calls"
    version = "0.1.0"
    priority = 500
    Config = CallsConfig

    config: CallsConfig

    def access(self, kong: outrigger.PDK) -> None:
        """Makes the calls: every tenth sets a header, the last one sets X-Calls, all others read."""
        for i in range(1, self.config.calls):
            kind = i % 10
            if kind < 5:
                kong.request.get_header(READ[kind])
            elif kind == 5:
                kong.request.get_method()
            elif kind == 6:
                kong.request.get_path()
            elif kind == 7:
                kong.request.get_query_arg("page")
            elif kind == 8:
                kong.client.get_ip()
            else:
                kong.service.request.set_header(f"X-Calls-{i}", "set")
        if self.config.calls:
            kong.service.request.set_header("X-Calls", str(self.config.calls))


class Body(outrigger.Plugin):
    """Reads the request body."""

    name = "bench-body"
    version = "0.1.0"
    priority = 490

    def access(self, kong: outrigger.PDK) -> None:
        """Tells the upstream how long the body is."""
        kong.service.request.set_header("X-Body-Length", str(len(kong.request.get_raw_body())))


class ResponseBody(outrigger.Plugin):
    """Reads the body of the upstream's answer."""

    name = "bench-response-body"
    version = "0.1.0"
    priority = 480

    def response(self, kong: outrigger.PDK) -> None:
        """Tells the client how long the body is."""
        kong.response.set_header("X-Body-Length", str(len(kong.service.response.get_raw_body())))
