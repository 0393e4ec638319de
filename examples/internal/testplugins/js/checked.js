// Plugins whose configuration has rules, whose hooks tell that they run, and which look at how bodies come. See README.md beside this directory.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ConfigError, definePlugin } from "../../../../sdk-js/dist/index.js";

const record = (properties, required = []) => ({ type: "object", additionalProperties: false, properties, required });

/** Has a configuration with every rule, and one that no schema can say. */
class Strict {
  constructor(config) {
    this.config = config;
  }
  configure() {
    const { range, rules } = this.config;
    if (range.high < range.low) {
      throw new ConfigError("range.high", `found ${range.high}, expected at least low, which is ${range.low}`);
    }
    for (const [i, rule] of rules.entries()) {
      if (rule.name === "nobody") throw new ConfigError(`rules.${i}.name`, "found a name that nobody has");
    }
  }
  access(kong) {
    kong.service.request.setHeader("X-Strict", JSON.stringify({ ...this.config, token: "" }));
  }
}

/** Tells when its hooks and handlers run. */
class Hooked {
  constructor(config) {
    this.config = config;
  }
  tell(what) {
    console.error(`hooked ${this.config.mark} ${what}`);
  }
  configure() {
    this.tell("configured");
  }
  close() {
    this.tell("closed");
  }
  async access(kong) {
    const name = kong.request.getHeader("X-Hold");
    if (name !== null) {
      writeFileSync(join(this.config.dir, name), "");
      while (!existsSync(join(this.config.dir, "release"))) await delay(5);
    }
    this.tell("ran");
    kong.response.setHeader("X-Mark", this.config.mark);
  }
}

/** Counts the pieces in which a body passes. */
class Pieces {
  constructor(config) {
    this.config = config;
  }
  access(kong) {
    if (this.config.buffer) kong.service.request.enableBuffering();
  }
  bodyFilter(kong, chunk, last) {
    const count = (kong.ctx.shared.get("pieces") ?? 0) + (chunk.length > 0 ? 1 : 0);
    if (last && this.config.fail) throw new Error("boom");
    if (last) return Buffer.concat([chunk, Buffer.from(`|${count} pieces`)]);
    kong.ctx.shared.set("pieces", count);
    if (this.config.fail === "changed") return Buffer.concat([Buffer.from("changed "), chunk]);
  }
}

/** Reads the upstream's body in the response phase. */
class Whole {
  async response(kong) {
    const body = await kong.service.response.getRawBody();
    kong.response.setHeader("X-Whole", body.length);
  }
}

const text = (rules = {}) => ({ type: "string", default: "", ...rules });
const common = { version: "0.1.0" };

export default [
  definePlugin({
    ...common,
    name: "strict-js",
    priority: 960,
    schema: record(
      {
        token: { type: "string", minLength: 8, "x-secret": true },
        mode: { type: "string", enum: ["strict", "loose"], default: "loose" },
        limit: { type: "integer", minimum: 1, maximum: 10, default: 5 },
        ratio: { type: "number", minimum: 0, maximum: 1, default: 0.5 },
        code: text({ pattern: "^[a-z]+$", default: "abc" }),
        range: {
          ...record({ low: { type: "integer", default: 0 }, high: { type: "integer", default: 10 } }),
          default: {},
        },
        rules: {
          type: "array",
          maxItems: 2,
          items: record({ name: { type: "string", minLength: 1 } }, ["name"]),
          default: [],
        },
        limits: { type: "object", additionalProperties: { type: "integer" }, default: {} },
      },
      ["token"],
    ),
    instance: Strict,
  }),
  definePlugin({
    ...common,
    name: "hooked-js",
    priority: 950,
    schema: record({ mark: text(), dir: text() }),
    instance: Hooked,
  }),
  definePlugin({
    ...common,
    name: "pieces-js",
    priority: 940,
    schema: record({ buffer: { type: "boolean", default: false }, fail: { type: "string", default: "" } }),
    instance: Pieces,
  }),
  definePlugin({ ...common, name: "whole-js", priority: 930, instance: Whole }),
  definePlugin({ ...common, name: "need-whole-js", priority: 930, needs: ["response_body"], instance: Whole }),
];
