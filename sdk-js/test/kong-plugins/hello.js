"use strict";

// Says hello to the client and to the upstream, as the first example of every Kong PDK does.
class HelloPlugin {
  constructor(config) {
    this.config = config;
  }

  async access(kong) {
    const host = await kong.request.getHeader("host");
    if (host === undefined) {
      return await kong.log.err("no host in the request");
    }
    const greeting = this.config.message || "hello";
    const caller = await kong.request.getHeader("x-caller");
    await Promise.all([
      kong.response.setHeader("x-hello-from-javascript", `${greeting} ${host}`),
      kong.response.setHeader("x-caller-known", caller === undefined ? "no" : "yes"),
      kong.response.setHeader("x-javascript-pid", process.pid),
      kong.service.request.setHeader("x-hello", greeting),
    ]);
  }
}

module.exports = {
  Plugin: HelloPlugin,
  Schema: [{ message: { type: "string" } }],
  Version: "0.1.0",
  Priority: 0,
};
