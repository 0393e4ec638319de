// Plugins that use what lies beyond the request: the node, its vault and cache, the place where the request goes.
import { definePlugin } from "../../../../sdk-js/dist/index.js";

/** Puts what it sees into a header of the upstream. */
class Reach {
  async access(kong) {
    const count = (await kong.cache.get("count")) ?? 0;
    const memory = await kong.node.getMemoryStats("k", 1);
    const seen = {
      secret: await kong.vault.get("{vault://env/reach-secret}"),
      method: await kong.nginx.getVar("request_method"),
      requests: (await kong.nginx.getStatistics()).total_requests > 0,
      level: (await kong.node.getConfiguration()).log_level,
      memory: memory.process.heap.endsWith(" KiB"),
      count,
      cluster: kong.cluster.getId(),
      id: kong.plugin.getId(),
      traceparent: kong.tracing.getTraceparent(),
    };
    kong.tracing.startSpan("reach", { n: count }).finish();
    kong.cache.set("count", count + 1, 60);
    kong.ctx.plugin.set("count", count);
    kong.telemetry.log("reach-js", {}, "test", "telemetry of js", { n: count });
    const group = kong.request.getHeader("X-Group");
    if (group !== null) kong.client.setAuthenticatedConsumerGroup({ id: group });
    const upstream = kong.request.getHeader("X-Upstream");
    if (upstream !== null) {
      try {
        await kong.service.setUpstream(upstream);
      } catch (err) {
        seen.upstream = err.code;
      }
    }
    kong.service.request.setHeader("X-Reach", JSON.stringify(seen));
  }

  async log(kong) {
    const entry = JSON.parse(await kong.log.serialize());
    kong.log.notice("reach-js logged ", kong.ctx.plugin.get("count"), " ", entry.spans[0].name);
  }
}

/** Tells for which group its record is. */
class Group {
  constructor(config) {
    this.config = config;
  }

  access(kong) {
    kong.service.request.setHeader("X-Group-Of", this.config.of);
  }
}

const group = { type: "object", additionalProperties: false, properties: { of: { type: "string", default: "" } } };

export default [
  definePlugin({ name: "reach-js", version: "0.1.0", priority: 1000, instance: Reach }),
  definePlugin({ name: "group-js", version: "0.1.0", priority: 900, schema: group, instance: Group }),
];
