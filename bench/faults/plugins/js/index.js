// The plugin server of the load with faults in JavaScript. See README.md beside this directory.
import { createHash } from "node:crypto";
import { definePlugin } from "../../../../sdk-js/dist/index.js";

const server = process.env.FAULTS_SERVER ?? "js";

/** The token of a request. */
const tokenOf = (kong) => kong.request.getHeader("X-Token") ?? "";

const digest = (data) => createHash("sha256").update(data).digest("hex");

class Token {
  access(kong) {
    const own = tokenOf(kong);
    kong.ctx.plugin.set("token", own);
    kong.service.request.setHeader(`X-Seen-${server}`, own);
  }
  response(kong) {
    const own = tokenOf(kong);
    const kept = kong.ctx.plugin.get("token");
    const theirs = kong.service.response.getHeader("X-Token");
    if (kept !== own || (theirs !== null && theirs !== own)) {
      kong.response.setHeader("X-Crossed", `${server}: kept ${kept}, asked by ${own}, answered to ${theirs}`);
      return;
    }
    kong.response.setHeader(`X-Checked-${server}`, own);
  }
}

class Exit {
  async access(kong) {
    const wanted = kong.request.getHeader("X-Exit");
    if (wanted === null) return;
    await new Promise(setImmediate); // other calls run in between
    const token = tokenOf(kong);
    const line = Buffer.from(`${token}\n`);
    kong.response.exit(403, Buffer.alloc(Number(wanted), line), { "X-Token": token });
  }
}

class Body {
  async access(kong) {
    kong.service.request.setHeader(`X-Sum-${server}`, digest(await kong.request.getRawBody()));
  }
  async response(kong) {
    kong.response.setHeader(`X-Digest-${server}`, digest(await kong.service.response.getRawBody()));
  }
}

const plugin = (name, priority, instance) =>
  definePlugin({ name: `faults-${name}-${server}`, version: "0.1.0", priority, instance });

export default [plugin("token", 1000, Token), plugin("exit", 990, Exit), plugin("body", 980, Body)];
