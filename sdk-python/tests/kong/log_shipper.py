"""A plugin in the style of Kong's log shippers: it notes things in ctx and sends the log entry as JSON."""

import json

Schema = (
    {"prefix": {"type": "string", "default": "entry "}},
    {"redact": {"type": "set", "elements": {"type": "string"}, "default": ["cookie"]}},
)

version = "1.0.0"
priority = 10


class Plugin:
    def __init__(self, config):
        self.prefix = config["prefix"]
        self.redact = config["redact"]

    def access(self, kong):
        method, _ = kong.request.get_method()
        kong.ctx.shared.set("started", {"method": method})

    def response(self, kong):
        status, _ = kong.service.response.get_status()
        kong.response.set_header("x-upstream-status", status)
        none, err = kong.service.response.get_body()
        kong.ctx.shared.set("body", err if none is None else none)

    def log(self, kong):
        kong.log.set_serialize_value("started", kong.ctx.shared.get("started")[0])
        entry, err = kong.log.serialize()
        if err:
            kong.log.err(err)
            return
        entry = json.loads(entry)
        for name in self.redact:
            entry["request"]["headers"].pop(name, None)
        kong.log(self.prefix, json.dumps(entry, sort_keys=True))
