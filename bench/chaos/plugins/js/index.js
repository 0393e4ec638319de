// The fault plugin server in JavaScript. See README.md beside this directory.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { definePlugin } from "../../../../sdk-js/dist/index.js";
import { orders } from "./orders.js";

if (existsSync(join(process.env.CHAOS_DIR ?? "", "exit"))) process.reallyExit(3);

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["instance"],
  properties: { instance: { type: "string" }, letter: { type: "string", default: "x" } },
};

/** Proves which instance worked on which request. */
const mark = (kong, config) => `${config.instance} ${kong.request.getHeader("X-Nonce")}`;

/** Does what the header X-Chaos orders for the phase. */
async function obey(kong, phase) {
  const [order, when, ...args] = (kong.request.getHeader("X-Chaos") ?? "none").split(" ");
  if (when === phase) await orders[order](...args);
}

class Rewrite {
  constructor(config) {
    this.config = config;
  }
  async rewrite(kong) {
    await obey(kong, "rewrite");
    kong.service.request.setHeader("X-Chaos-Rewrite", mark(kong, this.config));
  }
}

class Gate {
  constructor(config) {
    this.config = config;
  }
  async access(kong) {
    await obey(kong, "access");
    if (kong.request.getHeader("X-Deny") !== null) {
      kong.response.exit(403, `denied by ${mark(kong, this.config)}\n`);
    }
    kong.service.request.setHeader("X-Chaos-Access", mark(kong, this.config));
  }
  async headerFilter(kong) {
    await obey(kong, "header_filter");
    kong.response.setHeader("X-Chaos-Filter", mark(kong, this.config));
  }
  async log(kong) {
    await obey(kong, "log");
  }
}

class Body {
  constructor(config) {
    this.config = config;
  }
  async bodyFilter(kong, chunk) {
    const letter = this.config.letter.charCodeAt(0);
    const copy = chunk.map((byte) => (byte === 0x3f ? letter : byte)); // the piece belongs to the call
    await obey(kong, "body_filter");
    return copy;
  }
}

class Response {
  constructor(config) {
    this.config = config;
  }
  async response(kong) {
    await obey(kong, "response");
    kong.response.setHeader("X-Chaos-Response", mark(kong, this.config));
  }
}

const plugin = (name, priority, instance) => definePlugin({ name, version: "0.1.0", priority, schema, instance });

export default [
  plugin("chaos-rewrite-js", 1000, Rewrite),
  plugin("chaos-js", 990, Gate),
  plugin("chaos-body-js", 980, Body),
  plugin("chaos-response-js", 970, Response),
];
