import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { testPlugin } from "outrigger-pdk/testing";
import plugin from "./digest.js";

test("hashes the body and marks the request", async () => {
  const digest = await testPlugin(plugin);
  const body = Uint8Array.from({ length: 256 }, (_, i) => i);
  const { upstream, response } = await digest.run({}, { body });
  assert.equal(upstream?.headers.get("X-Rewritten-Js"), "1");
  assert.equal(response.headers.get("X-Digest-Js"), `sha256=${createHash("sha256").update(body).digest("hex")}`);
  assert.deepEqual(response.body, body);
});
