"use strict";

const { createHash } = require("node:crypto");

// Lets requests with one of the configured keys through and answers the others itself.
class KeyChecker {
  constructor(config) {
    this.keys = new Set(config.keys);
    this.header = config.header;
    this.config = config;
  }

  async access(kong) {
    const [fromHeader, fromQuery] = await Promise.all([
      kong.request.getHeader(this.header),
      kong.request.getQueryArg("apikey"),
    ]);
    const key = fromHeader || fromQuery;
    if (!key || !this.keys.has(key)) {
      const headers = { "WWW-Authenticate": `Key realm="${this.config.realm}"` };
      await kong.response.exit(key ? 403 : 401, { message: key ? "invalid key" : "no key" }, headers);
    }
    // Kong goes on after an exit; here nothing below runs for a refused request.
    await kong.service.request.clearHeader(this.header);
    await kong.service.request.setHeader("x-key-digest", createHash("sha256").update(key).digest("hex").slice(0, 8));
  }
}

module.exports = {
  Name: "Key-Checker",
  Plugin: KeyChecker,
  Schema: [
    { header: { type: "string", default: "x-api-key" } },
    { realm: { type: "string", default: "kong", match: "^[%w%-]+$" } },
    { keys: { type: "set", required: true, len_min: 1, elements: { type: "string", encrypted: true } } },
  ],
  Version: "1.2.0",
  Priority: 1250,
};
