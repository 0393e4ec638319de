import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, type DescMethod, type MessageInitShape } from "@bufbuild/protobuf";
import { Client, type ClientDuplexStream, credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { ConfigError } from "../src/errors.js";
import type { PDK } from "../src/gen/pdk.js";
import { EmptySchema, GRPCController } from "../src/gen/proto/goplugin/grpc_controller_pb.js";
import {
  type DescribeResponse,
  type DispatchRequest,
  DispatchRequestSchema,
  type DispatchResponse,
  type DrainResponse,
  PluginServer as PluginService,
} from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definePlugin } from "../src/plugin.js";
import { checkReach, parseListen } from "../src/runtime/address.js";
import { definitionOf } from "../src/runtime/control.js";
import { healthDefinition } from "../src/runtime/health.js";
import { Instances, StillHanging } from "../src/runtime/instances.js";
import { decodeValue } from "../src/runtime/msgpack_read.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import { PluginServer } from "../src/server.js";
import { HostDriver, headerOf } from "./host_driver.js";

interface Config {
  name: string;
  ms?: number;
  /** The handler waits for the gate. */
  gated?: boolean;
}

const closed: string[] = [];
let gate: Promise<void> = Promise.resolve();

/** Shuts the gate; the function opens it. */
function shut(): () => void {
  let open = (): void => {};
  gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  return open;
}

class Named {
  constructor(readonly config: Config) {
    if (config.name === "bad constructor") throw new TypeError("constructor failed");
  }
  async configure(): Promise<void> {
    if (this.config.name === "bad") throw new ConfigError("name", 'found "bad"; expected a better name');
  }
  close(): void {
    closed.push(this.config.name);
  }
  async access(kong: PDK): Promise<void> {
    if (this.config.gated) await gate;
    if (this.config.ms) await new Promise((resolve) => setTimeout(resolve, this.config.ms));
    kong.service.request.setHeader("x-name", this.config.name);
  }
  async response(kong: PDK): Promise<void> {
    const body = await kong.service.response.getRawBody();
    kong.log.warn("körper \udcff ", body.length);
    kong.response.setHeader("x-seen", `${kong.request.getHeader("x-latin")} ${kong.response.getHeader("server")}`);
    kong.ctx.shared.set("k", [kong.ctx.shared.get("k"), kong.router.getRoute()?.name, 2n ** 60n]);
    kong.response.exit(418, body, { "x-bin": "\udcff" });
  }
  headerFilter(kong: PDK): void {
    const { cluster, plugin, nginx, client } = kong;
    const seen = [cluster.getId(), plugin.getId(), nginx.getTls1VersionStr(), client.getConsumerGroup()?.name];
    kong.ctx.plugin.set("seen", [...seen, kong.ctx.plugin.get("before")]);
    kong.cache.set("k", 1, 2);
    kong.telemetry.log("named", {}, "test", "m");
    kong.tracing.startSpan("work");
  }
  bodyFilter(_kong: PDK, chunk: Uint8Array, last: boolean): Uint8Array | null {
    return last ? Buffer.concat([chunk, Buffer.from("!")]) : null;
  }
}

const PLUGIN = definePlugin<Config>({
  name: "named",
  version: "1.2.3",
  priority: -7,
  authenticates: true,
  needs: ["request_body"],
  schema: { type: "object", properties: { name: { type: "string" } } },
  instance: Named,
});

interface Served {
  readonly server: PluginServer;
  readonly path: string;
  /** Calls a unary method. */
  call<T>(method: DescMethod, init: object): Promise<T>;
  readonly client: Client;
}

async function serve(t: TestContext, onShutdown = (): void => {}): Promise<Served> {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  const path = join(dir, "c.sock");
  const server = await PluginServer.start([PLUGIN], { network: "unix", path }, onShutdown);
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  t.after(async () => {
    client.close();
    await server.close();
    rmSync(dir, { recursive: true });
  });
  const call = <T>(method: DescMethod, init: object): Promise<T> => {
    const definition = definitionOf(method.parent)[method.name];
    assert.ok(definition);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        create(method.input, init as MessageInitShape<typeof method.input>),
        (error, answer) => (error ? reject(error) : resolve(answer as T)),
      );
    });
  };
  return { server, path, call, client };
}

const { describe, configure, release, drain } = PluginService.method;

function configureNamed(
  { call }: Served,
  id: bigint,
  config: object,
): Promise<{ errors: { path: string; message: string }[] }> {
  return call(configure, { instanceId: id, plugin: "named", config: Buffer.from(JSON.stringify(config)) });
}

async function openLane(t: TestContext, served: Served): Promise<HostDriver> {
  const { address, token } = served.server.dataAddress;
  const host = await HostDriver.open(address, token);
  t.after(() => host.close());
  return host;
}

test("Describe tells plugins, schema and data planes", async (t) => {
  const served = await serve(t);
  const d = await served.call<DescribeResponse>(describe, { protocolVersion: 1 });
  assert.deepEqual(
    [d.protocolVersion, d.sdkLanguage, d.sdkVersion, d.lanes, d.overlapping, d.pid],
    [1, "js", "0.1.0", 1, true, process.pid],
  );
  const [p] = d.plugins;
  assert.deepEqual(
    [p?.name, p?.version, p?.priority, p?.phases, p?.authenticates, p?.needs],
    ["named", "1.2.3", -7, ["access", "response", "header_filter", "body_filter"], true, ["request_body"]],
  );
  assert.deepEqual(JSON.parse(Buffer.from(p?.configSchema ?? []).toString()), PLUGIN.schema);
  assert.deepEqual(
    d.dataPlanes.map(({ carrier, network }) => [carrier, network]),
    [
      ["msgpack", "unix"],
      ["grpc", ""],
    ],
  );
  assert.equal(d.dataPlanes[0]?.token.length, 16);
  for (const path of [served.path, d.dataPlanes[0]?.address ?? ""])
    assert.equal(statSync(path).mode & 0o777, 0o600, path);
});

test("Configure makes, refuses and replaces instances; Release closes them when their calls are done", async (t) => {
  const served = await serve(t);
  const host = await openLane(t, served);
  assert.deepEqual((await configureNamed(served, 2n ** 40n, { name: "one", gated: true })).errors, []);
  assert.deepEqual(
    (await configureNamed(served, 5n, { name: "bad" })).errors.map(({ path, message }) => [path, message]),
    [["name", 'found "bad"; expected a better name']],
  );
  assert.deepEqual(
    (await configureNamed(served, 5n, { name: "bad constructor" })).errors.map(({ path, message }) => [path, message]),
    [["", "constructor failed"]],
  );
  assert.equal((await host.call({ instance: 5 })).error?.[0], "unknown_instance");
  const unknown = await served.call<{ errors: { message: string }[] }>(configure, {
    instanceId: 9n,
    plugin: "nope",
    config: Buffer.from("{}"),
  });
  assert.match(unknown.errors[0]?.message ?? "", /plugin "nope" is not here; this server has named/);
  const noJson = await served.call<{ errors: { message: string }[] }>(configure, {
    instanceId: 9n,
    plugin: "named",
    config: Buffer.from("{"),
  });
  assert.match(noJson.errors[0]?.message ?? "", /no JSON/);

  closed.length = 0;
  const open = shut();
  const running = host.call({ instance: 2 ** 40 });
  await host.call({ instance: 99 }); // the call before has begun
  await configureNamed(served, 2n ** 40n, { name: "two" });
  assert.equal(headerOf(await host.call({ instance: 2 ** 40 })), "two");
  assert.deepEqual(closed, []); // its call still runs
  open();
  assert.equal(headerOf(await running), "one");
  await served.call(release, { instanceIds: [2n ** 40n, 77n] });
  assert.deepEqual(closed, ["one", "two"]);
  assert.equal((await host.call({ instance: 2 ** 40 })).error?.[0], "unknown_instance");
});

test("lesson 06: five instances keep their own configuration", async (t) => {
  const served = await serve(t);
  const host = await openLane(t, served);
  const ids = [1, 2, 3, 4, 5];
  await Promise.all(ids.map((id) => configureNamed(served, BigInt(id), { name: `n${id}`, ms: id })));
  const seen = await Promise.all([...ids, ...ids].map((instance) => host.call({ instance })));
  assert.deepEqual(
    seen.map((outcome) => headerOf(outcome)),
    [...ids, ...ids].map((id) => `n${id}`),
  );
});

test("Drain waits for running calls, at most for its time", async (t) => {
  const served = await serve(t);
  const host = await openLane(t, served);
  await configureNamed(served, 1n, { name: "gated", gated: true });
  const open = shut();
  const call = host.call();
  await host.call({ instance: 99 }); // the call before has begun
  assert.equal((await served.call<DrainResponse>(drain, { timeoutMs: 10 })).drained, false);
  const drained = served.call<DrainResponse>(drain, { timeoutMs: 20_000 });
  open();
  assert.equal((await drained).drained, true);
  assert.equal((await call).status, 0);
});

test("health answers for plugin and the empty name, and GRPCController.Shutdown is heard", async (t) => {
  let shutdowns = 0;
  const served = await serve(t, () => shutdowns++);
  const Health = makeGenericClientConstructor(healthDefinition, "Health");
  const client = new Health(`unix:${served.path}`, credentials.createInsecure());
  t.after(() => client.close());
  const check = (service: string): Promise<number> =>
    new Promise((resolve, reject) => {
      (client as unknown as { Check(s: object, cb: (e: Error | null, n: number) => void): void }).Check(
        { service },
        (e, n) => (e ? reject(e) : resolve(n)),
      );
    });
  assert.deepEqual([await check("plugin"), await check("")], [1, 1]);
  await assert.rejects(check("nope"), /NOT_FOUND/);
  await served.call(GRPCController.method.shutdown, create(EmptySchema));
  while (shutdowns === 0) await new Promise((resolve) => setImmediate(resolve));
});

type ReplyOf<K> = Extract<DispatchResponse["message"], { case: K }>["value"];

/** The host's side of carrier grpc: sends requests and collects what comes back until an outcome does. */
class GrpcHost {
  readonly stream: ClientDuplexStream<DispatchRequest, DispatchResponse>;
  readonly got: DispatchResponse[] = [];
  #wake: () => void = () => {};

  constructor(client: Client) {
    const { path, requestSerialize, responseDeserialize } = definitionOf(PluginService).Dispatch as NonNullable<
      ReturnType<typeof definitionOf>[string]
    >;
    this.stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    this.stream.on("data", (response: DispatchResponse) => {
      this.got.push(response);
      this.#wake();
    });
    this.stream.on("error", () => this.#wake());
    const limits = { maxBody: 1n << 23n, maxShared: 1n << 16n };
    this.send(0, {
      case: "hello",
      value: { version: 1, nodeId: "n", clusterId: "c-1", telemetryLogs: true, ...limits },
    });
  }

  send(callId: number, message: MessageInitShape<typeof DispatchRequestSchema>["message"]): void {
    this.stream.write(create(DispatchRequestSchema, { callId, message: message as NonNullable<typeof message> }));
  }

  /** The next message of a kind. */
  async next<K extends DispatchResponse["message"]["case"]>(kind: K): Promise<ReplyOf<K>> {
    for (;;) {
      const at = this.got.findIndex(({ message }) => message.case === kind);
      const [found] = at < 0 ? [] : this.got.splice(at, 1);
      if (found !== undefined) return found.message.value as unknown as ReplyOf<K>;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Everything chunked so far. */
  chunks(): Buffer {
    const pieces = this.got.flatMap(({ message }) => (message.case === "chunk" ? [message.value] : []));
    return Buffer.concat(pieces);
  }
}

const REQUEST = {
  method: "GET",
  scheme: "http",
  host: "gw.test",
  port: 80,
  httpVersion: 11,
  target: Buffer.from("/a?b"),
};

test("carrier grpc: the same call, question, log line and outcome", async (t) => {
  const served = await serve(t);
  await configureNamed(served, 1n, { name: "grpc" });
  const host = new GrpcHost(served.client);
  t.after(() => host.stream.cancel());
  assert.deepEqual((await host.next("hello")).sdkLanguage, "js");
  host.send(0, { case: "entity", value: { slot: 3, document: encodeValue({ id: "r", name: "orders" }) } });
  const headers = [{ name: "x-latin", value: Uint8Array.of(0x61, 0xff) }];
  host.send(9, {
    case: "call",
    value: {
      instance: 1n,
      phase: 3,
      request: { ...REQUEST, headers },
      route: 3,
      shared: [{ key: "k", value: encodeValue(false) }],
      response: { status: 200, headers: [{ name: "server", value: Buffer.from("up") }] },
      serviceResponse: { status: 200, sameHeaders: true },
    },
  });
  assert.equal((await host.next("ask")).function, 2);
  const body = new Uint8Array(100_000).map((_, i) => i);
  for (let at = 0; at < body.length; at += 32768) host.send(9, { case: "chunk", value: body.subarray(at, at + 32768) });
  host.send(9, { case: "answer", value: { bytes: { content: { case: "chunked", value: BigInt(body.length) } } } });
  const line = await host.next("log");
  assert.deepEqual(
    [line.level, Buffer.from(line.message).toString("latin1")],
    [3, `${Buffer.from("körper ").toString("latin1")}\xff 100000`],
  );
  const { failed, operations } = await host.next("outcome");
  assert.equal(failed, false);
  assert.deepEqual(
    operations.map(({ code }) => code),
    [21, 50, 25],
  );
  assert.equal(Buffer.from(operations[0]?.values[0] ?? []).toString("latin1"), "a\xff up");
  assert.deepEqual(Buffer.from(operations[1]?.value ?? []), encodeValue([false, "orders", 2n ** 60n]));
  assert.equal(operations[2]?.status, 418);
  assert.deepEqual(operations[2]?.body?.content, { case: "chunked", value: BigInt(body.length) });
  assert.deepEqual([...(operations[2]?.headers[0]?.value ?? [])], [0xff]);
  assert.equal(Buffer.compare(host.chunks(), body), 0);

  host.send(10, {
    case: "call",
    value: {
      instance: 1n,
      phase: 5,
      request: REQUEST,
      chunk: { content: { case: "inline", value: Buffer.from("x") } },
      last: true,
    },
  });
  const filtered = await host.next("outcome");
  assert.deepEqual(Buffer.from(filtered.body?.content.value as Uint8Array).toString(), "x!");
});

test("carrier grpc: TLS, groups, ctx.plugin, the plugin's id and operations with a list of arguments", async (t) => {
  const served = await serve(t);
  const config = Buffer.from('{"name": "grpc"}');
  await served.call(configure, { instanceId: 1n, plugin: "named", config, recordId: "p-1" });
  const host = new GrpcHost(served.client);
  t.after(() => host.stream.cancel());
  host.send(1, {
    case: "call",
    value: {
      instance: 1n,
      phase: 4,
      request: REQUEST,
      response: { status: 200 },
      serviceResponse: { status: 200, sameHeaders: true },
      plugin: [{ key: "before", value: encodeValue("kept") }],
      tls: { version: "TLSv1.3", cipher: "c", clientVerify: "NONE" },
      groups: [{ id: "g", name: "gold" }],
    },
  });
  const { failed, operations } = await host.next("outcome");
  assert.equal(failed, false);
  const found = operations.map(({ code, value }) => [code, decodeValue(value ?? encodeValue(null))] as const);
  const [kept, cached, told, span] = found;
  assert.deepEqual(kept, [51, ["c-1", "p-1", "TLSv1.3", "gold", "kept"]]);
  assert.equal(Buffer.from(operations[0]?.name ?? []).toString(), "seen");
  assert.deepEqual(cached, [92, ["k", 1, 2]]);
  assert.deepEqual(told, [91, ["named", {}, "test", "m", null]]);
  const [code, [record] = []] = (span ?? []) as [number?, [{ name: string }]?];
  assert.deepEqual([code, record?.name], [90, "work"]);
});

test("carrier grpc: failures, and goaway for what breaks the protocol", async (t) => {
  const served = await serve(t);
  const host = new GrpcHost(served.client);
  t.after(() => host.stream.cancel());
  host.send(1, { case: "call", value: { instance: 4n, phase: 2, request: REQUEST } });
  const outcome = await host.next("outcome");
  assert.deepEqual([outcome.failed, outcome.error?.code], [true, "unknown_instance"]);
  host.send(2, { case: "answer", value: {} }); // there was no call 2
  assert.equal((await host.next("goaway")).code, "bad_frame");
});

test("the end of a server closes its instances and removes its sockets", async (t) => {
  const served = await serve(t);
  await configureNamed(served, 1n, { name: "last" });
  const host = await openLane(t, served);
  closed.length = 0;
  await served.server.close();
  await host.closed;
  assert.deepEqual(closed, ["last"]);
  assert.equal(existsSync(served.path) || existsSync(served.server.dataAddress.address), false);
});

test("a stale socket is replaced, a living one and another file are not", async (t) => {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const file = join(dir, "file");
  writeFileSync(file, "");
  await assert.rejects(
    PluginServer.start([PLUGIN], { network: "unix", path: file }, () => {}),
    /a file that is no socket/,
  );
  const path = join(dir, "s.sock");
  const living = createServer().listen(path);
  await new Promise((resolve) => living.once("listening", resolve));
  await assert.rejects(
    PluginServer.start([PLUGIN], { network: "unix", path }, () => {}),
    /another server that listens there/,
  );
  living.close();
});

test("addresses to listen at", () => {
  assert.deepEqual(parseListen("unix:///run/p.sock"), { network: "unix", path: "/run/p.sock" });
  assert.deepEqual(parseListen("tcp://127.0.0.1:9000"), { network: "tcp", host: "127.0.0.1", port: 9000 });
  assert.deepEqual(parseListen("tcp://[::1]:0"), { network: "tcp", host: "::1", port: 0 });
  for (const bad of ["", "9000", "tcp://127.0.0.1", "tcp://127.0.0.1:70000", "unix://relative", "http://x"]) {
    assert.throws(() => parseListen(bad), /--listen: found .*; expected unix:\/\/\/path or tcp/, bad);
  }
  for (const off of ["tcp://0.0.0.0:9000", "tcp://10.0.0.1:9000", "tcp://example.test:9000"]) {
    assert.throws(() => checkReach(parseListen(off)), /can be reached from other machines: expected a loopback/, off);
  }
  assert.throws(() => parseListen(`unix:///${"x".repeat(120)}`), /121 bytes; at most 107/);
});

test("a configure that hangs holds up its own instance alone", async () => {
  let open = (): void => {};
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const closed: string[] = [];
  const plugin = definePlugin<{ name: string }>({
    name: "hanging",
    version: "1",
    schema: { type: "object" },
    instance: class {
      constructor(readonly config: { name: string }) {}
      async configure(): Promise<void> {
        if (this.config.name === "hangs") await gate;
      }
      access(): void {}
      close(): void {
        closed.push(this.config.name);
      }
    },
  });
  const instances = new Instances([plugin], (message) => assert.fail(message));
  const configure = (id: number, name: string, gone?: AbortSignal) =>
    instances.configure(id, "hanging", Buffer.from(JSON.stringify({ name })), "", gone);
  const attempts: Promise<unknown>[] = [];
  for (let i = 0; i < 4; i++) {
    const gone = new AbortController();
    attempts.push(configure(1, "hangs", gone.signal));
    await configure(2, `well ${i}`); // the other one is under way
    gone.abort();
  }
  await assert.rejects(configure(1, "hangs"), StillHanging);
  assert.equal(instances.get(1), undefined);
  open();
  await Promise.all(attempts);
  assert.equal(instances.get(1), undefined); // nobody waited for them
  assert.deepEqual(await configure(1, "hangs"), []);
  assert.ok(instances.get(1));
  await instances.idle();
  assert.deepEqual(closed.filter((name) => name === "hangs").length, 4);
});
