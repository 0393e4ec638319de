// Plugins that misbehave as the tests of the whole gateway ask for. See README.md beside this directory.
import { createHash } from "node:crypto";
import { existsSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { definePlugin } from "../../../../sdk-js/dist/index.js";
import checked from "./checked.js";
import reach from "./reach.js";
import trail from "./trail.js";
import { waits } from "./waits.js";

const behaviour = (phase) => ({
  type: "object",
  additionalProperties: false,
  properties: {
    do: { type: "string", default: "nothing" },
    phase: { type: "string", default: phase },
    ms: { type: "integer", default: 0 },
    dir: { type: "string", default: "" },
  },
});

/** Writes what can be seen, where the phase allows it. */
function mark(kong, phase) {
  if (phase === "access" || phase === "rewrite") kong.service.request.setHeader("X-Fault", "left");
  if (phase !== "log" && phase !== "body_filter") kong.response.setHeader("X-Fault", "left");
}

/** Does what the configuration says; answers the milliseconds to wait after it. */
function act(kong, config, phase) {
  if (phase !== config.phase) return 0;
  switch (config.do) {
    case "raise":
      throw new Error("boom");
    case "raise-after-read":
      kong.request.getHeader("Host");
      throw new Error("boom");
    case "raise-between":
      mark(kong, phase);
      if (kong.request.getHeader("Host") !== null) throw new Error("boom");
      mark(kong, phase);
      return 0;
    case "raise-after-write":
      mark(kong, phase);
      throw new Error("boom");
    case "raise-odd":
      throw null;
    case "raise-loud":
      throw new Error("boom\udcff".repeat(1 << 18));
    case "sleep":
      return config.ms;
    case "edit":
      kong.response.setStatus(299);
      kong.response.setHeader("X-Fault", "left");
      kong.response.addHeader("X-Up", "more");
      kong.response.clearHeader("X-Gone");
      return 0;
    case "hold":
      writeFileSync(join(config.dir, kong.request.getHeader("X-Hold") ?? ""), "");
      return 5;
    case "exit":
      return kong.response.exit(418, "exited");
    case "exit-swallowed":
    case "exit-raise":
    case "exit-sleep":
      return swallow(kong, config, phase);
    case "log":
      for (const level of ["debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"]) {
        kong.log[level]("a line ", 1, " é\udcff\nof two");
      }
      return 0;
    case "print":
      console.log("printed to stdout\nin two lines");
      writeSync(2, Buffer.from("printed \xff to stderr\n", "latin1"));
      return 0;
    case "die":
      return process.exit(3);
    case "reject-later":
      kong.client.loadConsumer("not a uuid");
      return config.ms;
    case "reject-after":
      setTimeout(() => Promise.reject(new Error("boom")), 1);
      return 0;
  }
  return 0;
}

/** Whether nobody has released it yet. */
const held = (config) => config.do === "hold" && !existsSync(join(config.dir, "release"));

/** Catches the exit. */
function swallow(kong, config, phase) {
  try {
    kong.response.exit(418, "exited");
  } catch {}
  if (config.do === "exit-raise") throw new Error("boom");
  if (config.do === "exit-sleep") return config.ms;
  try {
    mark(kong, phase);
  } catch (thrown) {
    if (thrown.code === "wrong_phase") return 0;
    throw thrown;
  }
  throw new Error("a write after the exit was taken");
}

/** Fails in one phase; returns a promise only when it has to wait. */
class Fault {
  constructor(config) {
    this.config = config;
  }
  act(kong, phase) {
    const wait = act(kong, this.config, phase);
    if (wait > 0) return this.wait(kong, phase, wait);
  }
  async wait(kong, phase, ms) {
    await delay(ms);
    while (held(this.config)) await delay(ms);
    if (this.config.do === "sleep" || this.config.do === "hold") mark(kong, phase);
  }
  rewrite(kong) {
    return this.act(kong, "rewrite");
  }
  access(kong) {
    return this.act(kong, "access");
  }
  headerFilter(kong) {
    return this.act(kong, "header_filter");
  }
  bodyFilter(kong, _chunk, last) {
    return last ? this.act(kong, "body_filter") : undefined;
  }
  log(kong) {
    return this.act(kong, "log");
  }
}

/** The same with promises that are rejected. */
class FaultAsync extends Fault {
  async act(kong, phase) {
    await undefined;
    await super.act(kong, phase);
  }
  async rewrite(kong) {
    await this.act(kong, "rewrite");
  }
  async access(kong) {
    await this.act(kong, "access");
  }
  async headerFilter(kong) {
    await this.act(kong, "header_filter");
  }
  async bodyFilter(kong, _chunk, last) {
    if (last) await this.act(kong, "body_filter");
  }
  async log(kong) {
    await this.act(kong, "log");
  }
}

/** Fails in the response phase. */
class FaultResponse {
  constructor(config) {
    this.config = config;
  }
  async response(kong) {
    const wait = act(kong, this.config, "response");
    if (wait > 0) await delay(wait);
  }
}

/** Sets the consumer that a header names. */
class Login {
  constructor(config) {
    this.config = config;
  }
  async access(kong) {
    const name = kong.request.getHeader("X-User");
    if (name === null) kong.response.exit(401, "who is there?");
    const consumer = await kong.client.loadConsumer(name, true);
    if (consumer === null) kong.response.exit(401, "unknown");
    kong.client.authenticate(consumer);
    if (this.config.do === "raise") throw new Error("boom");
    kong.service.request.setHeader("X-Who", consumer.username);
  }
}

/** Looks at the request body. */
class Body {
  async access(kong) {
    let body;
    try {
      body = await kong.request.getRawBody();
    } catch (error) {
      if (kong.request.getHeader("X-Catch") === null) throw error;
      return kong.service.request.setHeader("X-Body", error.code);
    }
    kong.service.request.setHeader("X-Body", `${createHash("sha256").update(body).digest("hex")} ${body.length}`);
    const size = kong.request.getHeader("X-Replace");
    if (size !== null) kong.service.request.setRawBody(Buffer.alloc(Number(size), "r"));
    if (kong.request.getHeader("X-Raise") !== null) throw new Error("boom");
  }
}

/** Puts the JSON of a header into ctx.shared. */
class Sample {
  access(kong) {
    kong.ctx.shared.set("sample", JSON.parse(kong.request.getHeader("X-Sample")));
  }
}

/** Reads it and puts it back under another key. */
class Relay {
  access(kong) {
    kong.ctx.shared.set("relayed", kong.ctx.shared.get("sample"));
  }
}

/** Sends what relay left to the upstream. */
class Show {
  access(kong) {
    kong.service.request.setHeader("X-Sample-Out", JSON.stringify(kong.ctx.shared.get("relayed")));
  }
}

const login = {
  type: "object",
  additionalProperties: false,
  properties: { do: { type: "string", default: "nothing" } },
};

const common = { version: "0.1.0", priority: 1000 };

export default [
  ...checked,
  ...reach,
  ...trail,
  ...waits,
  definePlugin({ ...common, name: "fault-js", schema: behaviour("access"), instance: Fault }),
  definePlugin({ ...common, name: "fault-async-js", schema: behaviour("access"), instance: FaultAsync }),
  definePlugin({ ...common, name: "fault-response-js", schema: behaviour("response"), instance: FaultResponse }),
  definePlugin({ ...common, name: "login-js", priority: 1100, authenticates: true, schema: login, instance: Login }),
  definePlugin({ ...common, name: "sneak-js", priority: 1100, schema: login, instance: Login }),
  definePlugin({ ...common, name: "body-js", instance: Body }),
  definePlugin({ ...common, name: "need-js", needs: ["request_body"], instance: Body }),
  definePlugin({ ...common, name: "sample-js", priority: 990, instance: Sample }),
  definePlugin({ ...common, name: "relay-js", priority: 980, instance: Relay }),
  definePlugin({ ...common, name: "show-js", priority: 970, instance: Show }),
];
