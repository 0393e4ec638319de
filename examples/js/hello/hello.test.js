import assert from "node:assert/strict";
import { test } from "node:test";
import { testPlugin } from "outrigger-pdk/testing";
import plugin from "./hello.js";

test("greets by its configuration", async () => {
  const hello = await testPlugin(plugin);
  const { upstream, response } = await hello.run();
  assert.equal(upstream?.headers.get("X-Hello-Js"), "hello, world");
  assert.equal(response.headers.get("X-Hello-Js"), "hello, world");
});

test("greets whom the request names, with the mood", async () => {
  const hello = await testPlugin(plugin, { greeting: "good morning" });
  const { upstream } = await hello.run({ headers: { "X-Name": "Ada", "X-Mood": "happy" } });
  assert.equal(upstream?.headers.get("X-Hello-Js"), "good morning, Ada (happy)");
});

test("refuses an empty greeting", async () => {
  await assert.rejects(testPlugin(plugin, { greeting: "" }), { code: "bad_config", path: "greeting" });
});
