// A plugin that waits until nobody waits for it, and that may hang while it is configured.
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { definePlugin } from "../../../../sdk-js/dist/index.js";

class Waits {
  constructor(config) {
    this.config = config;
  }
  async configure() {
    while (this.config.hang && !existsSync(join(this.config.dir, "release"))) await delay(5);
  }
  async access(kong) {
    const name = kong.request.getHeader("X-Hold");
    if (name === null) return kong.response.setHeader("X-Waits", "served");
    kong.service.request.setHeader("X-Fault", "left");
    writeFileSync(join(this.config.dir, `began-${name}`), "");
    await new Promise((resolve) => kong.signal.addEventListener("abort", resolve, { once: true }));
    let found = "taken";
    try {
      kong.service.request.setHeader("X-Fault", "late");
    } catch (thrown) {
      if (thrown.code === "wrong_phase") found = "refused";
    }
    writeFileSync(join(this.config.dir, `stopped-${name}`), found);
  }
}

const schema = {
  type: "object",
  additionalProperties: false,
  properties: { dir: { type: "string", default: "" }, hang: { type: "boolean", default: false } },
};

export const waits = [definePlugin({ name: "waits-js", version: "0.1.0", priority: 1000, schema, instance: Waits })];
