// gatekeeper-js turns requests away: a header with one of the listed values gets 403.
import { definePlugin } from "outrigger-pdk";

/** @typedef {{ header: string, values: string[], message: string }} Config */

class Gatekeeper {
  /** @param {Config} config */
  constructor(config) {
    this.config = config;
  }

  /**
   * Ends the request when the header has one of the values.
   * @param {import("outrigger-pdk").PDK} kong
   */
  access(kong) {
    const value = kong.request.getHeader(this.config.header);
    if (value !== null && this.config.values.includes(value)) {
      kong.response.exit(403, { message: this.config.message, plugin: "gatekeeper-js" });
    }
  }
}

export default definePlugin({
  name: "gatekeeper-js",
  version: "0.1.0",
  priority: 900,
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      header: { type: "string", default: "X-Deny", minLength: 1, description: "request header to look at" },
      values: {
        type: "array",
        items: { type: "string" },
        minItems: 1,
        default: ["1"],
        description: "values that are turned away",
      },
      message: { type: "string", default: "denied by gatekeeper", description: "message of the answer" },
    },
  },
  instance: Gatekeeper,
});
