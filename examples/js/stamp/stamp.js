// stamp-js leaves a mark in three phases: a response header, a trailer after the body, and a log line.
import { definePlugin } from "outrigger-pdk";

/** @typedef {{ mark: string, trailer: string }} Config */

class Stamp {
  /** @param {Config} config */
  constructor(config) {
    this.config = config;
  }

  /**
   * Sets the mark. The body gets longer, so its length must not be announced.
   * @param {import("outrigger-pdk").PDK} kong
   */
  headerFilter(kong) {
    kong.response.setHeader("X-Stamp-Js", this.config.mark);
    kong.response.clearHeader("Content-Length");
  }

  /**
   * Appends the trailer to the last piece; null leaves a piece as it is.
   * @param {import("outrigger-pdk").PDK} _kong
   * @param {Uint8Array} chunk
   * @param {boolean} last
   */
  bodyFilter(_kong, chunk, last) {
    return last ? Buffer.concat([chunk, Buffer.from(this.config.trailer)]) : null;
  }

  /**
   * Writes one line.
   * @param {import("outrigger-pdk").PDK} kong
   */
  log(kong) {
    kong.log.info("stamped ", kong.request.getMethod(), " ", kong.request.getPath(), " ", kong.response.getStatus());
  }
}

export default definePlugin({
  name: "stamp-js",
  version: "0.1.0",
  priority: 300,
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      mark: { type: "string", default: "js", description: "value of X-Stamp-Js" },
      trailer: { type: "string", default: "\n-- stamped by js\n", description: "text that is appended to the body" },
    },
  },
  instance: Stamp,
});
