import assert from "node:assert/strict";
import { test } from "node:test";
import { testPlugin } from "outrigger-pdk/testing";
import plugin from "./stamp.js";

test("marks header, body and log", async () => {
  const stamp = await testPlugin(plugin, { mark: "here", trailer: "!" });
  const { response, logs } = await stamp.run({ url: "/a/b?c=d", method: "POST" }, { status: 201, body: "made" });
  assert.equal(response.headers.get("X-Stamp-Js"), "here");
  assert.equal(response.headers.get("Content-Length"), null);
  assert.equal(response.text, "made!");
  assert.deepEqual(logs, [{ phase: "log", level: "info", message: "stamped POST /a/b 201" }]);
});

test("appends the trailer once to a body of several pieces", async () => {
  const stamp = await testPlugin(plugin);
  const { response } = await stamp.run({}, { body: "x".repeat(100_000) });
  assert.equal(response.text, `${"x".repeat(100_000)}\n-- stamped by js\n`);
});
