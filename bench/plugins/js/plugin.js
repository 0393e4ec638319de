// The plugins of the benchmark in JavaScript, with the same names and the same work as in Go.
import { definePlugin } from "outrigger-pdk";

/** @typedef {import("outrigger-pdk").PDK} PDK */

/**
 * Reads two request headers and sets one header on both sides.
 * @param {string} name
 * @param {number} priority
 * @param {string} header
 */
function work(name, priority, header) {
  return definePlugin({
    name,
    version: "0.1.0",
    priority,
    instance: class {
      /** @param {PDK} kong */
      access(kong) {
        const who = kong.request.getHeader("X-Name");
        const agent = kong.request.getHeader("User-Agent");
        if (!agent) return;
        const text = `hello, ${who ?? ""}`;
        kong.service.request.setHeader(header, text);
        kong.response.setHeader(header, text);
      }
    },
  });
}

const read = ["User-Agent", "Accept", "X-Name", "Authorization", "X-Absent"];

/** Calls the PDK as often as its configuration says. */
class Calls {
  /** @param {{ calls: number }} config */
  constructor(config) {
    this.calls = config.calls;
  }

  /**
   * Makes the calls: every tenth sets a header, the last one sets X-Calls, all others read.
   * @param {PDK} kong
   */
  access(kong) {
    for (let i = 1; i < this.calls; i++) {
      const kind = i % 10;
      if (kind < 5) kong.request.getHeader(read[kind]);
      else if (kind === 5) kong.request.getMethod();
      else if (kind === 6) kong.request.getPath();
      else if (kind === 7) kong.request.getQueryArg("page");
      else if (kind === 8) kong.client.getIp();
      else kong.service.request.setHeader(`X-Calls-${i}`, "set");
    }
    if (this.calls > 0) kong.service.request.setHeader("X-Calls", String(this.calls));
  }
}

const calls = definePlugin({
  name: "bench-calls",
  version: "0.1.0",
  priority: 500,
  schema: {
    type: "object",
    additionalProperties: false,
    properties: { calls: { type: "integer", default: 1, minimum: 0, maximum: 1000 } },
  },
  instance: Calls,
});

const requestBody = definePlugin({
  name: "bench-body",
  version: "0.1.0",
  priority: 490,
  instance: class {
    /** Tells the upstream how long the body is. @param {PDK} kong */
    async access(kong) {
      const body = await kong.request.getRawBody();
      kong.service.request.setHeader("X-Body-Length", String(body.length));
    }
  },
});

const responseBody = definePlugin({
  name: "bench-response-body",
  version: "0.1.0",
  priority: 480,
  instance: class {
    /** Tells the client how long the body is. @param {PDK} kong */
    async response(kong) {
      const body = await kong.service.response.getRawBody();
      kong.response.setHeader("X-Body-Length", String(body.length));
    }
  },
});

export default [
  work("bench-work", 509, "X-Bench"),
  work("bench-work-2", 508, "X-Bench-2"),
  work("bench-work-3", 507, "X-Bench-3"),
  work("bench-work-4", 506, "X-Bench-4"),
  work("bench-work-5", 505, "X-Bench-5"),
  calls,
  requestBody,
  responseBody,
];
