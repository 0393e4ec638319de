// picky-js, whose mistake is gone when PICKY is "fixed". The tests of the black box record it.
import { definePlugin } from "../../../../sdk-js/dist/index.js";

/** Wants a number in X-Order; "hang" and "die" are what it does. */
class Picky {
  constructor(config) {
    this.config = config;
  }

  async access(kong) {
    const order = kong.request.getHeader("X-Order") ?? "";
    const body = await kong.request.getRawBody();
    kong.log.notice("order ", order);
    if (process.env.PICKY === "fixed") {
      kong.service.request.setHeader("X-Picky", `${this.config.greeting} ${order} ${body.length}`);
      return;
    }
    if (order === "hang") await new Promise(() => {});
    if (order === "die") process.exit(3);
    if (!/^\d+$/.test(order)) throw new Error(`"${order}" is no number`);
    kong.service.request.setHeader("X-Picky", `${this.config.greeting} ${Number(order)}`);
  }
}

export default definePlugin({
  name: "picky-js",
  version: "0.1.0",
  priority: 500,
  schema: {
    type: "object",
    additionalProperties: false,
    properties: { greeting: { type: "string", default: "hello" }, key: { type: "string", default: "", "x-secret": true } },
  },
  instance: Picky,
});
