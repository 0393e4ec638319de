/**
 * The driver of the JavaScript SDK: a plugin that makes the calls of a vector and says what came of each. docs/conformance.md says how
 * drivers and runner talk.
 */
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { definePlugin } from "outrigger-pdk";
import { Caller } from "./calls.js";
import { fromSpelling } from "./spelling.js";

/** Milliseconds that a handler takes which is late, and that one runs before it ends its process. */
const TARDINESS = 3000;
const DYING = 1000;

/** Makes the calls of one vector. */
class Driver {
  #config;
  #vector;

  constructor(config) {
    this.#config = config;
    this.#vector = JSON.parse(config.vector);
  }

  rewrite(kong) {
    return this.#handle(kong);
  }

  access(kong) {
    return this.#handle(kong);
  }

  response(kong) {
    return this.#handle(kong);
  }

  headerFilter(kong) {
    return this.#handle(kong);
  }

  log(kong) {
    return this.#handle(kong);
  }

  async bodyFilter(kong) {
    await this.#handle(kong);
    return fromSpelling(this.#vector.returns ?? null);
  }

  async #handle(kong) {
    const caller = new Caller(kong);
    const { late } = this.#vector;
    const { results, exit } = await caller.run(this.#vector);
    const runner = connect(this.#config.socket);
    runner.write(this.#line(results));
    if (late === undefined) runner.end();
    else runner.once("data", async () => runner.end(this.#line((await caller.all(late)).results)));
    await new Promise((resolve, reject) => runner.once("connect", resolve).once("error", reject));
    await this.#end();
    if (exit !== undefined) throw exit;
  }

  /** Ends the handler as the vector says. */
  async #end() {
    switch (this.#vector.ends) {
      case "failed":
        throw new Error("the vector ends so");
      case "late":
        await delay(TARDINESS);
        break;
      case "killed":
        await delay(DYING);
        process.kill(process.pid, "SIGKILL");
    }
  }

  #line(results) {
    return `${JSON.stringify({ run: this.#config.run, results })}\n`;
  }
}

const text = { type: "string" };

export default definePlugin({
  name: "conformance-js",
  version: "0.1.0",
  authenticates: true,
  schema: {
    type: "object",
    properties: { vector: text, socket: text, run: text },
    required: ["vector", "socket", "run"],
    additionalProperties: false,
  },
  instance: Driver,
});
