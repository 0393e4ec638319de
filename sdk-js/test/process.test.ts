import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { GRPCController } from "../src/gen/proto/goplugin/grpc_controller_pb.js";
import { type DescribeResponse, PluginServer } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definitionOf } from "../src/runtime/control.js";
import { HostDriver, headerOf, until } from "./host_driver.js";

const BIN = fileURLToPath(new URL("../../bin/outrigger-js.js", import.meta.url));
const SDK = JSON.stringify(new URL("../../dist/index.js", import.meta.url).href);
const COOKIE = "82f1b1a5c0d94e1f";

/** A plugin that misbehaves as the request's port says. */
const PLUGIN = `
import { definePlugin } from ${SDK};
console.log("imported");
process.stdout.write("by write\\n");
class Wild {
  constructor(config) { this.config = config; }
  async access(kong) {
    const port = kong.request.getPort();
    if (port === 1) void Promise.reject(new Error("nobody awaits this"));
    if (port === 2) { void kong.client.loadConsumer(""); await new Promise((r) => setTimeout(r, 2000)); }
    if (port === 3) { setTimeout(() => { throw new Error("from a timer"); }, 1); await new Promise((r) => setTimeout(r, 30)); }
    if (port === 4) { void Promise.resolve().then(() => kong.response.exit(401)); await new Promise((r) => setTimeout(r, 2000)); }
    if (port === 5) { const keep = kong; setTimeout(() => keep.log.err("too late"), 1); }
    if (port === 6) process.kill(process.pid, "SIGKILL");
    if (port === 7) console.log("from the handler");
    kong.service.request.setHeader("x-name", String(this.config.name));
  }
  close() { console.error("closed " + this.config.name); }
}
export default definePlugin({ name: "wild", version: "1", schema: {}, instance: Wild });
`;

interface Started {
  readonly child: ChildProcess;
  readonly dir: string;
  stdout: string;
  stderr: string;
  /** Resolves with code and signal. */
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>;
}

/** Starts the launcher; whatever happens, it is gone when the test ends. */
function start(t: TestContext, args: string[], env: Record<string, string> = {}, plugin = PLUGIN): Started {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  writeFileSync(join(dir, "plugin.mjs"), plugin);
  const child = spawn(process.execPath, [BIN, ...args.map((arg) => arg.replace("DIR", dir))], {
    env: { PATH: process.env.PATH, OUTRIGGER_RUN_DIR: dir, ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const exit = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once("exit", (code, signal) => resolve([code, signal])),
  );
  const started: Started = { child, dir, stdout: "", stderr: "", exit };
  (child.stdout as Readable).setEncoding("utf8").on("data", (text: string) => (started.stdout += text));
  (child.stderr as Readable).setEncoding("utf8").on("data", (text: string) => (started.stderr += text));
  t.after(async () => {
    child.kill("SIGKILL");
    await exit;
    rmSync(dir, { recursive: true });
  });
  return started;
}

const MANAGED = { OUTRIGGER_PLUGIN: COOKIE, OUTRIGGER_LIFELINE_FD: "3", PLUGIN_PROTOCOL_VERSIONS: "1" };

async function managed(t: TestContext): Promise<Started & { client: Client; path: string }> {
  const started = start(t, ["serve", "DIR/plugin.mjs"], MANAGED);
  await until(
    () => started.stdout.includes("\n") || started.child.exitCode !== null,
    `a handshake (${started.stderr})`,
  );
  const [core, app, network, path = "", protocol] = started.stdout.trimEnd().split("|");
  assert.deepEqual([core, app, network, protocol], ["1", "1", "unix", "grpc"], started.stderr);
  const client = new Client(`unix:${path}`, credentials.createInsecure());
  t.after(() => client.close());
  return Object.assign(started, { client, path });
}

function unary<T>(
  client: Client,
  service: Parameters<typeof definitionOf>[0],
  name: string,
  init: Record<string, unknown>,
): Promise<T> {
  const method = service.methods.find((m) => m.name === name);
  const definition = definitionOf(service)[name];
  assert.ok(method && definition);
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      definition.path,
      definition.requestSerialize,
      definition.responseDeserialize,
      create(method.input, init),
      (error, answer) => (error ? reject(error) : resolve(answer as T)),
    );
  });
}

async function lane(t: TestContext, client: Client): Promise<HostDriver> {
  const { dataPlanes } = await unary<DescribeResponse>(client, PluginServer, "Describe", {});
  const [plane] = dataPlanes;
  assert.ok(plane);
  await unary(client, PluginServer, "Configure", {
    instanceId: 1n,
    plugin: "wild",
    config: Buffer.from('{"name": "ok"}'),
  });
  const host = await HostDriver.open(plane.address, plane.token);
  t.after(() => host.close());
  return host;
}

test("a managed server: one handshake line, everything else goes to standard error", async (t) => {
  const server = await managed(t);
  const host = await lane(t, server.client);
  assert.equal(headerOf(await host.call({ request: { port: 7 } })), "ok");
  await until(() => server.stderr.includes("from the handler"));
  assert.match(server.stderr, /^imported\nby write\n/);
  assert.equal(server.stdout.split("\n").length, 2);
  assert.equal(statSync(server.path).mode & 0o777, 0o600);
});

test("GRPCController.Shutdown ends the server cleanly: hooks run, sockets are gone", async (t) => {
  const server = await managed(t);
  await lane(t, server.client);
  await unary(server.client, GRPCController, "Shutdown", {});
  assert.deepEqual(await server.exit, [0, null]);
  assert.match(server.stderr, /closed ok/);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("SIGTERM ends it cleanly, and SIGINT is for the host", async (t) => {
  const server = await managed(t);
  server.child.kill("SIGINT");
  const host = await lane(t, server.client);
  assert.equal((await host.call()).status, 0);
  server.child.kill("SIGTERM");
  assert.deepEqual(await server.exit, [0, null]);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("the end of the lifeline ends the server, and its sockets", async (t) => {
  const server = await managed(t);
  (server.child.stdio[3] as Writable).destroy();
  assert.deepEqual(await server.exit, [0, null]);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("lesson 03: what plugins throw outside of their handlers neither ends the process nor counts as success", async (t) => {
  const server = await managed(t);
  const host = await lane(t, server.client);
  // It cannot be told which call this rejection belongs to: it is logged.
  await host.call({ request: { port: 1 } });
  await until(() =>
    host.logs.some(
      ({ message, level }) => level === 4 && message.startsWith("unhandled rejection: nobody awaits this"),
    ),
  );
  // An error of the PDK knows its call, which still runs.
  const owned = await host.call({ request: { port: 2 } });
  assert.deepEqual([owned.error?.[0], owned.ops], ["bad_argument", []]);
  assert.equal((await host.call({ request: { port: 3 } })).status, 0);
  await until(() => host.logs.some(({ message }) => message.startsWith("uncaught exception: from a timer")));
  const exited = await host.call({ request: { port: 4 } });
  assert.deepEqual(exited.ops[0]?.slice(0, 2), [25, 401]);
  await host.call({ request: { port: 5 } });
  await until(() =>
    host.logs.some(({ message }) => /wrong_phase: log\.err: called after the handler ended/.test(message)),
  );
  assert.equal((await host.call()).status, 0);
  assert.equal(server.child.exitCode, null);
});

test("a killed server closes its connections; a new one in the same directory works", async (t) => {
  const server = await managed(t);
  const host = await lane(t, server.client);
  void host.call({ request: { port: 6 } });
  assert.deepEqual(await server.exit, [null, "SIGKILL"]);
  await host.closed;
  const again = start(t, ["serve", `${server.dir}/plugin.mjs`], { ...MANAGED, OUTRIGGER_RUN_DIR: server.dir });
  await until(() => again.stdout.includes("|grpc\n"));
});

test("an attached server, at a unix socket that is its owner's alone and at loopback", async (t) => {
  for (const listen of ["unix://DIR/a.sock", "tcp://127.0.0.1:0"]) {
    const server = start(t, ["serve", "DIR/plugin.mjs", "--listen", listen]);
    await until(() => server.stderr.includes("serving wild at"), server.stderr);
    const at = / at (unix|tcp):\/\/(\S+)/.exec(server.stderr);
    const client = new Client(at?.[1] === "unix" ? `unix:${at[2]}` : (at?.[2] ?? ""), credentials.createInsecure());
    t.after(() => client.close());
    const host = await lane(t, client);
    assert.equal(headerOf(await host.call()), "ok");
    if (at?.[1] === "unix") assert.equal(statSync(at[2] ?? "").mode & 0o777, 0o600);
    assert.equal(server.stdout, "");
    server.child.kill("SIGINT");
    assert.deepEqual(await server.exit, [0, null]);
    assert.equal(existsSync(at?.[2] ?? ""), false);
  }
});

test("without a host and without --listen it says what it is", async (t) => {
  const server = start(t, ["serve", "DIR/plugin.mjs"]);
  assert.deepEqual(await server.exit, [1, null]);
  assert.match(server.stderr, /this is a plugin server of the Outrigger API gateway/);
  assert.equal(server.stdout, "");
});

test("a module that cannot be served ends the server with file, found and expected", async (t) => {
  for (const [plugin, message] of [
    ["export default 5;", /outrigger-js: .*plugin\.mjs: found 5; expected/],
    ['throw new Error("at import");', /plugin\.mjs: importing the module failed: Error: at import/],
  ] as const) {
    const server = start(t, ["serve", "DIR/plugin.mjs"], MANAGED, plugin);
    assert.deepEqual(await server.exit, [1, null]);
    assert.match(server.stderr, message);
    assert.equal(server.stdout, "");
  }
});

test("describe prints the manifest as JSON on standard output", async (t) => {
  const described = start(t, ["describe", "DIR/plugin.mjs"]);
  assert.deepEqual(await described.exit, [0, null]);
  const manifest = JSON.parse(described.stdout);
  assert.deepEqual(
    [manifest.sdk_language, manifest.plugins[0].name, manifest.plugins[0].phases, manifest.plugins[0].config_schema],
    ["js", "wild", ["access"], {}],
  );
  assert.match(described.stderr, /imported/);
});

test("wrong arguments are refused with the usage", async (t) => {
  for (const [args, message] of [
    [[], /found no command; expected serve or describe/],
    [["run"], /found command "run"/],
    [["serve"], /serve: found no PATH/],
    [["serve", "DIR/plugin.mjs", "--port"], /found option "--port"/],
    [["serve", "DIR/plugin.mjs", "--listen", "tcp://0.0.0.0:1"], /off loopback/],
    [["serve", "DIR/nope.mjs", "--listen", "unix://DIR/s"], /nope\.mjs: found no such file/],
  ] as const) {
    const server = start(t, [...args]);
    assert.deepEqual(await server.exit, [1, null], String(args));
    assert.match(server.stderr, message);
  }
  const help = start(t, ["--help"]);
  assert.deepEqual(await help.exit, [0, null]);
  assert.match(help.stdout, /outrigger-js serve PATH/);
});
