/** Plugins for Kong, unmodified: three of them by the launcher in processes of their own, and the form of their PDK. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { functions } from "../src/gen/functions.js";
import { type DescribeResponse, PluginServer } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { type KongModule, type KongPDK, kongPlugin } from "../src/index.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import { type TestNode, type TestRequest, type TestResult, testPlugin } from "../src/testing.js";
import { type HostDriver, type HostOptions, textOf, until } from "./host_driver.js";
import { managed, openLane, start, unary } from "./launcher.js";

const PLUGINS = fileURLToPath(new URL("../../test/kong-plugins", import.meta.url));

/** A lane to a server that has the plugin configured. */
async function serve(
  t: TestContext,
  path: string,
  config: object,
  options: HostOptions = {},
): Promise<{ host: HostDriver; manifest: DescribeResponse["plugins"][number] }> {
  const { client } = await managed(t, [`${PLUGINS}/${path}`]);
  const { plugins } = await unary<DescribeResponse>(client, PluginServer, "Describe", {});
  const [manifest] = plugins;
  assert.ok(manifest);
  const { errors } = await unary<{ errors: unknown[] }>(client, PluginServer, "Configure", {
    instanceId: 1n,
    plugin: manifest.name,
    config: Buffer.from(JSON.stringify(config)),
  });
  assert.deepEqual(errors, []);
  return { host: await openLane(t, client, options), manifest };
}

test("hello: awaited reads, writes at the same time, a number as a header", async (t) => {
  const { host, manifest } = await serve(t, "hello.js", { message: "good day" });
  assert.deepEqual(
    [manifest.name, manifest.version, manifest.priority, manifest.phases],
    ["hello", "0.1.0", 0, ["access"]],
  );
  assert.deepEqual(JSON.parse(Buffer.from(manifest.configSchema).toString()).properties, {
    message: { type: "string", minLength: 1 },
  });
  const { error, ops } = await host.call({ request: { headers: [["host", "gw.test"]] } });
  assert.equal(error, null);
  const written = ops.map(([code, name, values]) => [code, name, textOf((values as unknown[])[0])]);
  assert.deepEqual(written.slice(0, 2), [
    [21, "x-hello-from-javascript", "good day gw.test"],
    [21, "x-caller-known", "no"],
  ]);
  assert.match(String(written[2]?.[2]), /^\d+$/);
  assert.deepEqual(written[3], [1, "x-hello", "good day"]);
  const nameless = await host.call({ request: { headers: [] } });
  assert.deepEqual(nameless.ops, []);
  await until(() => host.logs.some(({ message }) => message === "no host in the request"));
});

test("key-checker: an exit ends the handler", async (t) => {
  const { host, manifest } = await serve(t, "key-checker", { header: "x-api-key", realm: "shop", keys: ["k1"] });
  assert.deepEqual([manifest.name, manifest.version, manifest.priority], ["key-checker", "1.2.0", 1250]);
  const schema = JSON.parse(Buffer.from(manifest.configSchema).toString());
  assert.deepEqual(schema.properties.keys, {
    type: "array",
    items: { type: "string", "x-secret": true, minLength: 1 },
    uniqueItems: true,
    minItems: 1,
  });
  const without = await host.call();
  assert.deepEqual([without.error, without.ops.length, without.ops[0]?.slice(0, 2)], [null, 1, [25, 401]]);
  assert.equal(textOf(without.ops[0]?.[2]), '{"message":"no key"}');
  const wrong = await host.call({ request: { headers: [["x-api-key", "k2"]] } });
  assert.deepEqual(wrong.ops[0]?.slice(0, 2), [25, 403]);
  const right = await host.call({ request: { target: "/?apikey=k1" } });
  assert.deepEqual(
    right.ops.map(([code]) => code),
    [3, 1],
  );
});

test("log-shipper: ctx between phases, bodies, and the log entry", async (t) => {
  const answers: Readonly<Record<number, unknown>> = {
    1: Buffer.from("a=1&b=x+y"),
    2: Buffer.from("grüße"),
    3: '{"response":{"status":207}}',
  };
  const { host, manifest } = await serve(t, "log-shipper.js", { mark: "x-log" }, { answer: (fn) => answers[fn] });
  assert.deepEqual(manifest.phases, ["access", "response", "log"]);
  const form: [string, string] = ["content-type", "application/x-www-form-urlencoded"];
  const access = await host.call({ phase: 2, startTime: 1_700_000_000_500, request: { headers: [form] } });
  const [, , noted] = access.ops[0] ?? [];
  assert.deepEqual(noted, { started: 1_700_000_000.5, form: { a: "1", b: "x y" }, tls: "none" });
  const upstream = { status: 207, headers: [["content-type", "text/plain"]] as [string, string][], source: 0 };
  const response = await host.call({
    phase: 3,
    shared: [["shipper", encodeValue(noted)]],
    response: upstream,
    serviceResponse: { status: 207, headers: null },
  });
  assert.deepEqual(
    response.ops.map(([code, name]) => [code, name]),
    [
      [50, "shipper"],
      [21, "x-log"],
    ],
  );
  const seen = response.ops[0]?.[2];
  const log = await host.call({ phase: 6, shared: [["shipper", encodeValue(seen)]], response: upstream });
  assert.equal(log.error, null);
  await until(() => host.logs.length === 2);
  const [shipped, plain] = host.logs.map(({ level, message }) => [level, message] as const);
  assert.deepEqual(JSON.parse(shipped?.[1] ?? ""), {
    started: 1_700_000_000.5,
    form: { a: "1", b: "x y" },
    tls: "none",
    answer: "text/plain 5",
    status: 207,
  });
  assert.deepEqual([shipped?.[0], plain], [2, [2, "plain notice"]]);
});

test("a plugin without a body in its request reads undefined, and the log says why", async (t) => {
  const { host } = await serve(t, "log-shipper.js", { mark: "x-log" });
  const [noted = []] = (await host.call({ phase: 2, request: { headers: [] } })).ops;
  assert.equal((noted[2] as { form: unknown }).form, null);
  await until(() => host.logs.some(({ level, message }) => level === 3 && message.includes("missing content type")));
});

test("what is no plugin for this gateway is refused", async (t) => {
  for (const [source, message] of [
    [
      "export class Plugin { certificate() {} access() {} }",
      /plugin "plugin": found a handler of phase certificate; expected handlers of rewrite, access, response, log only/,
    ],
    ["export class Plugin {}", /plugin\.mjs: plugin "plugin": found class .* without a handler/],
    ["module.exports = {};", /Found CommonJS in a module: expected the suffix \.cjs/],
    [
      'export class Plugin { access() {} }\nexport const Schema = [{ a: { type: "string", match: "%1" } }];',
      /plugin\.mjs: plugin "plugin": Schema: field a: Lua pattern "%1": found %1/,
    ],
  ] as const) {
    const server = start(t, ["describe", "DIR/plugin.mjs"], {}, source);
    assert.deepEqual(await server.exit, [1, null], source);
    assert.match(server.stderr, message);
  }
});

type Handler = (kong: KongPDK) => unknown;

/** Runs handlers of a plugin for Kong on one request, with the testing kit. */
async function run(
  handlers: Readonly<Record<string, Handler>>,
  request: TestRequest = {},
  node: TestNode = {},
): Promise<TestResult> {
  class Plugin {}
  Object.assign(Plugin.prototype, handlers);
  const kit = await testPlugin(kongPlugin({ Plugin } satisfies KongModule, "p"), {}, node);
  return kit.run(request, { status: 200, headers: { "X-Two": ["1", "2"] }, body: Buffer.from([0xff, 0x61]) });
}

test("values in Kong's form", async () => {
  const seen: Record<string, unknown> = {};
  const access: Handler = async (kong) => {
    const { request, client, service, nginx, log } = kong;
    seen.headers = await request.getHeaders();
    seen.query = await request.getQuery();
    seen.missing = [await request.getHeader("nope"), await request.getQueryArg("nope"), await client.getConsumer()];
    seen.raw = await request.getRawBody();
    seen.captures = await request.getUriCaptures();
    seen.upstream = [await service.setUpstream("blue"), await service.setUpstream("red")];
    seen.tls = [
      await (nginx as unknown as Record<string, () => unknown>).getTls1_versionStr?.(),
      await nginx.getTls1VersionStr(),
    ];
    await log.setSerializeValue("mine", 1, { mode: "add" });
    await log.deprecation("old", { after: "1", removal: "2" });
    const upstream = service.request;
    await upstream.setRawBody("text");
    seen.written = await upstream.setBody({ a: 1 }, "application/json");
  };
  const response: Handler = async (kong) => {
    const upstream = kong.service.response;
    seen.upstreamHeaders = await upstream.getHeaders();
    seen.upstreamBody = await upstream.getRawBody();
  };
  const { entry, logs, upstream } = await run(
    { access, response },
    {
      url: "/?a=1&a=2&b",
      headers: { "X-A": ["1", "2"] },
      body: "in",
      captures: { unnamed: ["x"], named: { n: "y" } },
    },
    { upstreams: ["blue"] },
  );
  const plain = JSON.parse(JSON.stringify({ headers: seen.headers, query: seen.query }));
  assert.deepEqual(plain, {
    headers: { host: ["gw.test:8000"], "x-a": ["1", "2"] },
    query: { a: ["1", "2"], b: [true] },
  });
  assert.deepEqual(seen.missing, [undefined, undefined, undefined]);
  assert.deepEqual(seen.raw, Buffer.from("in"));
  assert.deepEqual(JSON.parse(JSON.stringify(seen.captures)), { unnamed: { 1: "x" }, named: { n: "y" } });
  assert.deepEqual([seen.upstream, seen.tls, seen.written], [[true, undefined], [undefined, undefined], true]);
  assert.deepEqual((seen.upstreamHeaders as Record<string, unknown>)["x-two"], ["1", "2"]);
  assert.deepEqual(seen.upstreamBody, Buffer.from([0xff, 0x61]));
  assert.equal(entry.mine, 1);
  assert.equal(Buffer.from(upstream?.body ?? []).toString(), '{"a":1}');
  assert.deepEqual(
    logs.map(({ message }) => message),
    [
      'bad_data: service.set_upstream: there is no upstream "red"',
      "old (deprecated after 1, scheduled for removal in 2)",
    ],
  );
});

test("every function of the PDK is there, and answers a promise", async () => {
  const missing: string[] = [];
  const access: Handler = async (kong) => {
    for (const { name } of Object.values(functions)) {
      const path = name.split(".").map((part) => part.replace(/_(.)/g, (_, c: string) => c.toUpperCase()));
      const found = path.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], kong);
      if (typeof found !== "function") missing.push(name);
    }
    const promises = [kong.request.getPath(), kong.service.request.enableBuffering(), kong.node.getConfiguration()];
    assert.ok(promises.every((promise) => promise instanceof Promise));
    await Promise.all(promises);
  };
  await run({ access });
  assert.deepEqual(missing, []);
});

test("an exit ends a handler that does not await it, and errors are rejections", async () => {
  const codes: unknown[] = [];
  const { response, logs } = await run({
    access: async (kong) => {
      const failed = kong.response.setHeader("a b", "1");
      codes.push(await failed.catch((error: unknown) => (error as { code: unknown }).code));
      kong.response.exit(418, "short");
      codes.push("unreachable");
    },
    log: (kong) => kong.log.info("logged"),
  });
  assert.deepEqual([codes, response.status, response.text], [["bad_argument"], 418, "short"]);
  assert.deepEqual(
    logs.map(({ message }) => message),
    ["logged"],
  );
});
