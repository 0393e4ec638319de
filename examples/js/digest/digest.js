// digest-js sets a header with the hash of the upstream's body; configured globally it marks the request before the router, too.
import { createHash } from "node:crypto";
import { definePlugin } from "outrigger-pdk";

class Digest {
  /**
   * Runs only when the plugin is configured globally: a route is not known yet.
   * @param {import("outrigger-pdk").PDK} kong
   */
  rewrite(kong) {
    kong.service.request.setHeader("X-Rewritten-Js", 1);
  }

  /**
   * Asks for the body, which buffers it.
   * @param {import("outrigger-pdk").PDK} kong
   */
  async response(kong) {
    const body = await kong.service.response.getRawBody();
    const digest = createHash("sha256").update(body).digest("hex");
    kong.response.setHeader("X-Digest-Js", `sha256=${digest}`);
  }
}

export default definePlugin({ name: "digest-js", version: "0.1.0", priority: 200, instance: Digest });
