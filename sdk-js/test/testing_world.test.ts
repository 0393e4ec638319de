/** What the testing kit knows of the world around a plugin, and what it shows of what the plugin did. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DataError } from "../src/errors.js";
import type { PDK } from "../src/gen/pdk.js";
import { definePlugin, type Handlers } from "../src/plugin.js";
import { type TestNode, type TestPlugin, type TestRequest, testPlugin } from "../src/testing.js";

type Phases = Partial<Record<keyof Handlers, (kong: PDK, chunk: Uint8Array, last: boolean) => unknown>>;

/** A plugin that handles the phases with these functions. */
function kit(phases: Phases, node: TestNode = {}): Promise<TestPlugin> {
  class Instance {}
  Object.assign(Instance.prototype, phases);
  return testPlugin(
    definePlugin({ name: "p", version: "1", schema: {}, instance: Instance as unknown as new () => Handlers }),
    {},
    node,
  );
}

/** What a handler of access answers. */
async function inAccess<T>(
  handler: (kong: PDK) => T | Promise<T>,
  request: TestRequest = {},
  node: TestNode = {},
): Promise<T> {
  let answer: T | undefined;
  const access = async (kong: PDK): Promise<void> => {
    answer = await handler(kong);
  };
  const plugin = await kit({ access }, node);
  await plugin.exchange(request).phase("access");
  return answer as T;
}

test("groups, upstreams, secrets, configuration and memory come from the test", async () => {
  const node: TestNode = {
    upstreams: ["blue"],
    secrets: { "{vault://env/key}": "s3cret" },
    configuration: { log_level: "info" },
    memory: { resident: 2048, heap: 1024 },
    clusterId: "c-1",
    pluginId: "p-1",
    version: "9.1.0",
  };
  const consumers = [{ id: "5f0a3c52-6d2e-4a0f-9a44-0d8d4f7f5c11" }];
  const id = consumers[0]?.id as string;
  const seen = await inAccess(
    async (kong) => [
      await kong.client.authenticateConsumerGroupByConsumerId(id),
      await kong.service.setUpstream("blue"),
      await kong.service.setUpstream("red").catch((error: unknown) => (error as DataError).code),
      await kong.vault.get("{vault://env/key}"),
      await kong.vault.get("{vault://env/other}").catch((error: unknown) => (error as DataError).code),
      (await kong.vault.update({ a: "old", b: "old", $refs: { a: "{vault://env/key}", b: "{vault://env/x}" } })).a,
      await kong.node.getConfiguration(),
      await kong.node.getMemoryStats("k", 1),
      kong.cluster.getId(),
      kong.plugin.getId(),
      kong.node.getVersion(),
    ],
    { consumers, consumerGroups: { [id]: [{ id: "g", name: "gold" }] } },
    node,
  );
  assert.deepEqual(seen, [
    [{ id: "g", name: "gold" }],
    undefined,
    "bad_data",
    "s3cret",
    "bad_data",
    "s3cret",
    { log_level: "info" },
    { process: { resident: "2.0 KiB", heap: "1.0 KiB" } },
    "c-1",
    "p-1",
    "9.1.0",
  ]);
});

test("ctx.plugin lives for one request, the cache longer", async () => {
  const plugin = await kit({
    access: async (kong) => {
      kong.ctx.plugin.set("seen", kong.request.getPath());
      kong.log.notice(String(await kong.cache.get("hits")));
      kong.cache.set("hits", Number((await kong.cache.get("hits")) ?? 0) + 1);
      kong.cache.set("gone", 1);
      kong.cache.delete("gone");
    },
    log: (kong) => kong.log.notice(String(kong.ctx.plugin.get("seen"))),
  });
  const first = await plugin.run({ url: "/a" });
  const second = await plugin.run({ url: "/b" });
  const messages = [first, second].map(({ logs }) => logs.map(({ message }) => message));
  assert.deepEqual(messages, [
    ["null", "/a"],
    ["1", "/b"],
  ]);
  assert.deepEqual([second.plugin, plugin.cache], [{ seen: "/b" }, { hits: 2 }]);
});

test("what a plugin says of the target is seen in the request upstream", async () => {
  const plugin = await kit(
    {
      access: async (kong) => {
        await kong.service.setUpstream("u");
        kong.service.setTarget("[::1]", 8080);
        kong.service.setRetries(0);
        kong.service.setTimeouts(1, 2, 3);
        kong.service.setFallbackTargets(["a:1"]);
        kong.service.setTlsVerify(false);
        kong.service.setTlsVerifyDepth(3);
      },
    },
    { upstreams: ["u"] },
  );
  const { upstream } = await plugin.run();
  assert.deepEqual(upstream?.target, {
    upstream: null,
    host: "::1",
    port: 8080,
    retries: 0,
    timeouts: { connect: 1, write: 2, read: 3 },
    fallbackTargets: ["a:1"],
    tls: { verify: false, verifyDepth: 3, certificates: null, key: null, store: null },
  });
});

test("telemetry, spans, groups and the client's certificate are in the result and in the log entry", async () => {
  const plugin = await kit({
    access: (kong) => {
      kong.client.setAuthenticatedConsumerGroups([{ id: "g1", name: "gold" }], "append");
      kong.client.tls.setClientVerify("FAILED:expired");
      const span = kong.tracing.startSpan("look up", { key: "k" });
      kong.tracing.startSpan("inner").addEvent("hit", { n: 1 });
      span.finish();
    },
    log: (kong) => kong.telemetry.log("p", { a: 1 }, "audit", "seen", { user: "bob" }),
  });
  const { telemetry, spans, groups, entry } = await plugin.run({
    url: "https://gw.test/",
    tls: { certificates: "-----BEGIN CERTIFICATE-----" },
    groups: [{ id: "g0", name: "all" }],
  });
  assert.deepEqual(telemetry, [
    {
      phase: "log",
      pluginName: "p",
      config: { a: 1 },
      messageType: "audit",
      message: "seen",
      attributes: { user: "bob" },
    },
  ]);
  assert.deepEqual(
    spans.map(({ id, parent, name, events }) => [id, parent, name, events.map((event) => event.name)]),
    [
      [1, 0, "look up", []],
      [2, 1, "inner", ["hit"]],
    ],
  );
  assert.deepEqual(groups, [
    { id: "g0", name: "all" },
    { id: "g1", name: "gold" },
  ]);
  const { request } = entry as { request: { tls: unknown } };
  assert.deepEqual(request.tls, {
    version: "TLSv1.3",
    cipher: "TLS_AES_128_GCM_SHA256",
    client_verify: "FAILED:expired",
  });
});

test("a value that JSON has no form for is in the log entry as the gateway shows it", async () => {
  let read: string | undefined;
  const plugin = await kit({
    access: (kong) => {
      kong.tracing.startSpan("s", { share: Number.NaN });
      kong.log.setSerializeValue("odd", [Number.NaN, Buffer.from("hi"), { low: Number.NEGATIVE_INFINITY }]);
      kong.log.setSerializeValue("large", 2n ** 62n);
    },
    log: async (kong) => {
      read = await kong.log.serialize();
    },
  });
  const { entry } = await plugin.run();
  for (const seen of [entry, JSON.parse(read ?? "")]) {
    assert.deepEqual(seen.odd, ["NaN", "hi", { low: "-Infinity" }]);
    assert.deepEqual(seen.spans[0].attributes, { share: "NaN" });
  }
  assert.match(read ?? "", /"large":4611686018427387904[,}]/);
});

test("response.error is written as the client accepts it, like the gateway's own errors", async () => {
  const plugin = await kit({
    access: (kong) => {
      const type = kong.request.getHeader("x-type");
      kong.response.error(404, kong.request.getHeader("x-message"), type === null ? null : { "Content-Type": type });
    },
  });
  const body = async (headers: Record<string, string>): Promise<[string | null, string]> => {
    const { response } = await plugin.run({ headers });
    assert.deepEqual([response.status, response.source], [404, "error"]);
    return [response.headers.get("content-type"), response.text];
  };
  const id = "00000000000000000000000000000001";
  const [html, page] = await body({ accept: "text/html;q=0.9, image/png", "x-message": 'a < "b"' });
  assert.equal(html, "text/html; charset=utf-8");
  assert.match(page, new RegExp(`<p>a &lt; &quot;b&quot;\\.</p>\\n {4}<p>request_id: ${id}</p>`));
  assert.deepEqual(await body({}), [
    "application/json; charset=utf-8",
    `{\n  "message":"Not found",\n  "request_id":"${id}"\n}`,
  ]);
  assert.deepEqual(await body({ accept: "application/json;q=0.1, text/*;q=0.2" }), [
    "text/plain; charset=utf-8",
    `Not found\nrequest_id: ${id}\n`,
  ]);
  assert.deepEqual(await body({ accept: "text/html", "x-type": "application/xml" }), [
    "application/xml",
    `<?xml version="1.0" encoding="UTF-8"?>\n<error>\n  <message>Not found</message>\n  <requestid>${id}</requestid>\n</error>\n`,
  ]);
});

test("a header that was set before gives way to the upstream's when response is handled, and else stands beside it", async () => {
  const access = (kong: PDK): void => kong.response.setHeader("X-Same", "plugin");
  const upstream = { headers: { "X-Same": "upstream" } };
  const buffered = await (await kit({ access, response: () => {} })).run({}, upstream);
  assert.deepEqual(buffered.response.headers.values("x-same"), ["upstream"]);
  const streamed = await (await kit({ access })).run({}, upstream);
  assert.deepEqual(streamed.response.headers.values("x-same"), ["upstream", "plugin"]);
});

test("enable_buffering gives body_filter one piece", async () => {
  const sizes: number[] = [];
  const plugin = await kit({
    access: (kong) => kong.service.request.enableBuffering(),
    bodyFilter: (_kong, chunk) => void sizes.push(chunk.length),
  });
  await plugin.run({}, { body: new Uint8Array(100_000) });
  assert.deepEqual(sizes, [100_000]);
});

test("a trusted peer's headers count", async () => {
  const headers = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "Shop.test:8443",
    "X-Forwarded-Prefix": "/p",
    "X-Real-IP": "203.0.113.7",
  };
  const read = (kong: PDK): unknown[] => [
    kong.request.getForwardedScheme(),
    kong.request.getForwardedHost(),
    kong.request.getForwardedPort(),
    kong.request.getForwardedPath(),
    kong.request.getForwardedPrefix(),
    kong.client.getForwardedIp(),
    kong.client.getForwardedPort(),
  ];
  assert.deepEqual(await inAccess(read, { url: "/a", headers }, { trusted: ["10.0.0.0/8"] }), [
    "https",
    "shop.test",
    8443,
    "/a",
    "/p",
    "203.0.113.7",
    null,
  ]);
  assert.deepEqual(await inAccess(read, { url: "/a", headers }), [
    "http",
    "gw.test",
    8000,
    "/a",
    null,
    "10.0.0.9",
    40000,
  ]);
});

test("variables by their names in nginx", async () => {
  const names = ["request_method", "uri", "arg_a", "cookie_s", "http_x_two", "ssl_protocol", "server_protocol", "nope"];
  const values = await inAccess((kong) => Promise.all(names.map((name) => kong.nginx.getVar(name))), {
    url: "https://gw.test/p?a=1%202",
    headers: { Cookie: "t=1; s=2", "X-Two": ["1", "2"] },
  });
  assert.deepEqual(values, ["GET", "/p", "1 2", "2", "1, 2", "TLSv1.3", "HTTP/1.1", null]);
});

test("a test answers questions itself", async () => {
  const asked: [string, readonly unknown[]][] = [];
  const seen = await inAccess(
    async (kong) => [
      await kong.nginx.getVar("uri"),
      await kong.cache.get("k"),
      await kong.vault.get("{vault://env/x}").catch((error: unknown) => [(error as DataError).code]),
      await kong.node.getConfiguration().catch((error: unknown) => [(error as DataError).code]),
    ],
    {
      url: "/kit",
      answer: (question, args) => {
        asked.push([question, args]);
        if (question === "cache.get") return { n: 1 };
        if (question === "vault.get") throw new DataError("vault.get", "sealed");
        if (question === "node.get_configuration") throw new Error("down");
        return undefined;
      },
    },
  );
  assert.deepEqual(seen, ["/kit", { n: 1 }, ["bad_data"], ["host_error"]]);
  assert.deepEqual(asked.slice(0, 2), [
    ["nginx.get_var", ["uri"]],
    ["cache.get", ["k"]],
  ]);
});

test("bodies over max_body are refused, and there is none of an upstream that was not asked", async () => {
  const code = async (promise: Promise<unknown>): Promise<string> =>
    promise.then(
      () => "answered",
      (error: DataError) => error.code,
    );
  assert.equal(
    await inAccess((kong) => code(kong.request.getRawBody()), { body: "12345" }, { maxBody: 4 }),
    "bad_data",
  );
  assert.equal(await inAccess((kong) => code(kong.request.getRawBody()), { body: "1234" }, { maxBody: 4 }), "answered");
});
