// hello-js greets: it reads two request headers and its configuration, and sets a header upstream and one on the response.
import { definePlugin } from "outrigger-pdk";

/** @typedef {{ greeting: string, name: string }} Config */

class Hello {
  /** @param {Config} config */
  constructor(config) {
    this.config = config;
  }

  /**
   * Greets whom X-Name names, with the mood of X-Mood.
   * @param {import("outrigger-pdk").PDK} kong
   */
  access(kong) {
    const name = kong.request.getHeader("X-Name") ?? this.config.name;
    const mood = kong.request.getHeader("X-Mood");
    let text = `${this.config.greeting}, ${name}`;
    if (mood !== null) text += ` (${mood})`;
    kong.service.request.setHeader("X-Hello-Js", text);
    kong.response.setHeader("X-Hello-Js", text);
  }
}

export default definePlugin({
  name: "hello-js",
  version: "0.1.0",
  priority: 500,
  schema: {
    type: "object",
    additionalProperties: false,
    properties: {
      greeting: { type: "string", default: "hello", minLength: 1, description: "word that the greeting starts with" },
      name: { type: "string", default: "world", description: "who is greeted when the request has no X-Name" },
    },
  },
  instance: Hello,
});
