"""A plugin that uses what lies beyond the request: the node, its vault and cache, the place where the request goes."""

import json
from dataclasses import dataclass

import outrigger


class Reach(outrigger.Plugin):
    """Puts what it sees into a header of the upstream."""

    name = "reach-python"
    version = "0.1.0"
    priority = 1000

    def access(self, kong: outrigger.PDK) -> None:
        count = kong.cache.get("count") or 0
        process = kong.node.get_memory_stats("k", 1)["process"]
        seen = {
            "secret": kong.vault.get("{vault://env/reach-secret}"),
            "method": kong.nginx.get_var("request_method"),
            "requests": kong.nginx.get_statistics()["total_requests"] > 0,
            "level": kong.node.get_configuration()["log_level"],
            "memory": process["heap"].endswith(" KiB"),
            "count": count,
            "cluster": kong.cluster.get_id(),
            "id": kong.plugin.get_id(),
            "traceparent": kong.tracing.get_traceparent(),
        }
        kong.tracing.start_span("reach", {"n": count}).finish()
        kong.cache.set("count", count + 1, 60)
        kong.ctx.plugin.set("count", count)
        kong.telemetry.log("reach-python", {}, "test", "telemetry of python", {"n": count})
        group = kong.request.get_header("X-Group")
        if group is not None:
            kong.client.set_authenticated_consumer_group(outrigger.ConsumerGroup(id=group))
        upstream = kong.request.get_header("X-Upstream")
        if upstream is not None:
            try:
                kong.service.set_upstream(upstream)
            except outrigger.PDKError as err:
                seen["upstream"] = err.code
        kong.service.request.set_header("X-Reach", json.dumps(seen))

    def log(self, kong: outrigger.PDK) -> None:
        entry = json.loads(kong.log.serialize())
        kong.log.notice("reach-python logged ", kong.ctx.plugin.get("count"), " ", entry["spans"][0]["name"])


@dataclass
class GroupConfig:
    """Configuration of the plugin that tells for which group its record is."""

    of: str = ""


class Group(outrigger.Plugin):
    """Tells for which group its record is."""

    name = "group-python"
    version = "0.1.0"
    priority = 900
    Config = GroupConfig

    config: GroupConfig

    def access(self, kong: outrigger.PDK) -> None:
        kong.service.request.set_header("X-Group-Of", self.config.of)
