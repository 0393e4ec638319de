import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConfig } from "../src/config/check.js";
import { withDefaults } from "../src/config/defaults.js";
import { ConfigError } from "../src/errors.js";
import type { PDK } from "../src/gen/pdk.js";
import { definePlugin } from "../src/plugin.js";
import { HandlerFailure, testPlugin } from "../src/testing.js";
import { everyPhase, type HandlerFn } from "./harness.js";

const SCHEMA = {
  type: "object",
  additionalProperties: false,
  required: ["name"],
  properties: {
    name: { type: "string", minLength: 1 },
    limit: { type: "integer", minimum: 1, maximum: 10, default: 5 },
    mode: { enum: ["a", "b"], default: "a" },
    nested: { $ref: "#/$defs/nested" },
    list: { type: "array", items: { $ref: "#/$defs/nested" }, default: [] },
    maybe: { type: ["string", "null"], default: "x" },
  },
  $defs: { nested: { type: "object", properties: { on: { type: "boolean", default: true } }, default: {} } },
};

test("defaults are filled at every depth, as the host does", () => {
  const given = { name: "n", list: [{}], limit: null, maybe: null };
  assert.deepEqual(withDefaults(SCHEMA, given), {
    name: "n",
    limit: 5,
    mode: "a",
    nested: { on: true },
    list: [{ on: true }],
    maybe: null,
  });
  assert.deepEqual(given.list, [{}]); // the argument is left alone
});

test("lesson 20: a configuration is checked by path", () => {
  const bad = { limit: 11, mode: "c", nested: { on: 1 }, list: [{}, 5], other: 1 };
  const errors = checkConfig(SCHEMA, bad).map(({ path, message }) => `${path}: ${message}`);
  assert.deepEqual(errors, [
    "name: is required",
    "limit: found 11; expected at most 10",
    'mode: found "c"; expected one of ["a","b"]',
    "nested.on: found 1; expected boolean",
    "list.1: found 5; expected object",
    "other: is not known",
  ]);
});

function plugin(handler: HandlerFn, schema = {}): ReturnType<typeof definePlugin> {
  return definePlugin({ name: "p", version: "1", schema, instance: everyPhase(handler) });
}

const in_ = (phase: string, handler: (kong: PDK) => unknown): HandlerFn => {
  let n = 0;
  const order = ["rewrite", "access", "response", "header_filter", "body_filter", "log"];
  return (kong) => (order[n++] === phase ? handler(kong) : null);
};

test("lesson 20: a refused configuration is an error with its path", async () => {
  await assert.rejects(
    testPlugin(
      plugin(() => {}, SCHEMA),
      {},
    ),
    { code: "bad_config", path: "name" },
  );
  class Refusing {
    constructor() {
      throw new ConfigError("a.b", "no");
    }
    access(): void {}
  }
  await assert.rejects(testPlugin(definePlugin({ name: "r", version: "1", instance: Refusing })), {
    code: "bad_config",
    path: "a.b",
    message: "no",
  });
});

test("all phases run in the gateway's order on one request", async () => {
  const seen: string[] = [];
  const kit = await testPlugin(
    plugin((kong, chunk, last) => {
      seen.push(chunk.length > 0 ? `chunk ${Buffer.from(chunk)} ${last}` : kong.request.getMethod());
    }),
  );
  const result = await kit.run({ method: "POST", url: "https://shop.test/a?b=c" }, { body: "hello" });
  assert.deepEqual(seen, ["POST", "POST", "POST", "POST", "chunk hello true", "POST"]);
  assert.deepEqual(
    [result.upstream?.path, result.upstream?.query, result.upstream?.headers.get("host"), result.response.text],
    ["/a", "b=c", "shop.test", "hello"],
  );
});

test("an exit answers the client, and the log still runs", async () => {
  const kit = await testPlugin(
    plugin((kong) => {
      if (kong.ctx.shared.get("seen") === null) {
        kong.ctx.shared.set("seen", true);
        kong.response.exit(401, { message: "who?" }, { "WWW-Authenticate": "Key" });
      }
    }),
  );
  const { upstream, response, shared } = await kit.run();
  assert.equal(upstream, null);
  assert.deepEqual(
    [response.status, response.text, response.headers.get("www-authenticate"), response.headers.get("content-length")],
    [401, '{"message":"who?"}', "Key", "18"],
  );
  assert.deepEqual(shared, { seen: true });
});

test("a failing handler is an error with phase, code and stack", async () => {
  const kit = await testPlugin(plugin(in_("access", (kong) => kong.response.getStatus())));
  await assert.rejects(kit.run(), (thrown) => {
    assert.ok(thrown instanceof HandlerFailure);
    assert.deepEqual([thrown.phase, thrown.code], ["access", "wrong_phase"]);
    assert.match(thrown.detail, /PhaseError/);
    return true;
  });
});

test("what plugins write reaches upstream, client, log and consumer", async () => {
  const kit = await testPlugin(
    plugin((kong) => {
      const phase = kong.ctx.shared.get("n");
      kong.ctx.shared.set("n", Number(phase) + 1);
      if (phase === 1) {
        kong.service.request.setMethod("PUT");
        kong.service.request.setPath("/new path");
        kong.service.request.setQuery({ a: "b c" });
        kong.service.request.setRawBody(Buffer.from("up"));
        kong.client.authenticate({ id: "c1" }, { id: "k" });
        kong.response.setHeader("x-early", "1");
      }
      if (phase === 2) kong.response.setRawBody(Buffer.from("changed"));
      if (phase === 5) return kong.log.serialize().then((entry) => kong.log.notice(entry));
      return null;
    }),
  );
  const { upstream, response, consumer, logs } = await kit.run(
    { shared: { n: 0 }, headers: { Authorization: "secret" } },
    { headers: { Server: "up" }, body: "old" },
  );
  assert.deepEqual(
    [upstream?.method, upstream?.path, upstream?.query, Buffer.from(upstream?.body ?? []).toString()],
    ["PUT", "/new%20path", "a=b%20c", "up"],
  );
  assert.deepEqual(
    [
      response.text,
      response.headers.get("server"),
      response.headers.get("x-early"),
      response.headers.get("content-length"),
    ],
    ["changed", "up", "1", "7"],
  );
  assert.equal(consumer?.id, "c1");
  const [line] = logs;
  assert.deepEqual([line?.phase, line?.level], ["log", "notice"]);
  const entry = JSON.parse(line?.message ?? "");
  assert.deepEqual(
    [entry.request.headers.authorization, entry.consumer.id, entry.response.status],
    ["REDACTED", "c1", 200],
  );
});

test("phases can be run one by one, and consumers be looked up", async () => {
  const found: unknown[] = [];
  const kit = await testPlugin(
    plugin(async (kong) => {
      found.push(
        await kong.client.loadConsumer("bob", true),
        await kong.client.loadCredential("keys", "k"),
        await kong.request.getRawBody(),
      );
    }),
  );
  const exchange = kit.exchange({
    body: "b",
    consumers: [{ id: "1", username: "bob" }],
    credentials: { keys: { k: { id: "9" } } },
  });
  await exchange.phase("access");
  assert.deepEqual(found, [{ id: "1", username: "bob" }, { id: "9" }, Uint8Array.of(98)]);
  await kit.close();
});

test("the trace context of a call is the one that the request brings", async () => {
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const seen: unknown[] = [];
  const look = in_("access", (kong) => {
    seen.push(kong.tracing.getTraceparent(), kong.tracing.getTracestate());
  });
  const kit = await testPlugin(plugin(look));
  await kit.run({ headers: { Traceparent: parent } });
  assert.deepEqual(seen, [parent, null]);
});
