// A plugin that leaves in every phase which record of it has run. See README.md one up.
import { definePlugin } from "../../../../sdk-js/dist/index.js";

/** Leaves number/of@mark. */
class Trail {
  constructor(config) {
    this.step = `6/${config.of}@${config.mark}`;
  }
  access(kong) {
    kong.service.request.addHeader("X-Trail-Access", this.step);
  }
  headerFilter(kong) {
    kong.response.addHeader("X-Trail", this.step);
  }
  bodyFilter(_kong, chunk, last) {
    return last ? Buffer.concat([chunk, Buffer.from(`\n${this.step}`)]) : undefined;
  }
  log(kong) {
    const request = kong.request.getHeader("X-Trail-Log");
    if (request !== null) kong.log.notice("trail ", request, " ", this.step);
  }
}

const text = { type: "string", default: "" };
const schema = { type: "object", additionalProperties: false, properties: { mark: text, of: text } };

export default [definePlugin({ name: "trail-6-js", version: "0.1.0", priority: 600, schema, instance: Trail })];
