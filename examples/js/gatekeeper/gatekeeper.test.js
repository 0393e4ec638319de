import assert from "node:assert/strict";
import { test } from "node:test";
import { testPlugin } from "outrigger-pdk/testing";
import plugin from "./gatekeeper.js";

test("turns a listed value away", async () => {
  const gatekeeper = await testPlugin(plugin);
  const { upstream, response } = await gatekeeper.run({ headers: { "X-Deny": "1" } });
  assert.equal(upstream, null);
  assert.equal(response.status, 403);
  assert.deepEqual(JSON.parse(response.text), { message: "denied by gatekeeper", plugin: "gatekeeper-js" });
  assert.equal(response.headers.get("Content-Type"), "application/json; charset=utf-8");
});

test("lets others pass", async () => {
  const gatekeeper = await testPlugin(plugin, { header: "X-Team", values: ["red", "blue"] });
  for (const headers of [{}, { "X-Team": "green" }, { "X-Deny": "1" }]) {
    const { response } = await gatekeeper.run({ headers });
    assert.equal(response.status, 200);
  }
});
