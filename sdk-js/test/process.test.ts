import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import type { Writable } from "node:stream";
import { type TestContext, test } from "node:test";
import { Client, credentials } from "@grpc/grpc-js";
import { GRPCController } from "../src/gen/proto/goplugin/grpc_controller_pb.js";
import { type DescribeResponse, PluginServer } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { healthDefinition } from "../src/runtime/health.js";
import { type HostDriver, headerOf, until } from "./host_driver.js";
import { MANAGED, managed, openLane, start, unary } from "./launcher.js";

const SDK = JSON.stringify(new URL("../../dist/index.js", import.meta.url).href);
/** A plugin that misbehaves as the request's port says. */
const PLUGIN = `
import { definePlugin } from ${SDK};
console.log("imported");
process.stdout.write("by write\\n");
const evil = new Proxy({}, { get() { throw evil; }, getPrototypeOf() { throw evil; } });
class Wild {
  constructor(config) { this.config = config; }
  async access(kong) {
    const port = kong.request.getPort();
    if (port === 1) void Promise.reject(new Error("nobody awaits this"));
    if (port === 2) { void kong.client.loadConsumer(""); await new Promise((r) => setTimeout(r, 2000)); }
    if (port === 3) { setTimeout(() => { throw new Error("from a timer"); }, 1); await new Promise((r) => setTimeout(r, 30)); }
    if (port === 4) { void Promise.resolve().then(() => kong.response.exit(401)); await new Promise((r) => setTimeout(r, 2000)); }
    if (port === 5) { const keep = kong; setTimeout(() => keep.log.err("too late"), 1); }
    if (port === 8) { setTimeout(() => { throw evil; }, 1); void Promise.reject(evil); await new Promise((r) => setTimeout(r, 30)); }
    if (port === 6) process.kill(process.pid, "SIGKILL");
    if (port === 7) console.log("from the handler");
    kong.service.request.setHeader("x-name", String(this.config.name));
  }
  close() { console.error("closed " + this.config.name); }
}
export default definePlugin({ name: "wild", version: "1", schema: {}, instance: Wild });
`;

function wild(t: TestContext): ReturnType<typeof managed> {
  return managed(t, ["DIR/plugin.mjs"], PLUGIN);
}

async function lane(t: TestContext, client: Client): Promise<HostDriver> {
  await unary(client, PluginServer, "Configure", {
    instanceId: 1n,
    plugin: "wild",
    config: Buffer.from('{"name": "ok"}'),
  });
  return openLane(t, client);
}

test("a managed server: one handshake line, everything else goes to standard error", async (t) => {
  const server = await wild(t);
  const host = await lane(t, server.client);
  assert.equal(headerOf(await host.call({ request: { port: 7 } })), "ok");
  await until(() => server.stderr.includes("from the handler"));
  assert.match(server.stderr, /^imported\nby write\n/);
  assert.equal(server.stdout.split("\n").length, 2);
  assert.equal(statSync(server.path).mode & 0o777, 0o600);
});

test("GRPCController.Shutdown ends the server cleanly: hooks run, sockets are gone", async (t) => {
  const server = await wild(t);
  await lane(t, server.client);
  await unary(server.client, GRPCController, "Shutdown", {});
  assert.deepEqual(await server.exit, [0, null]);
  assert.match(server.stderr, /closed ok/);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("SIGTERM ends it cleanly, and SIGINT is for the host", async (t) => {
  const server = await wild(t);
  server.child.kill("SIGINT");
  const host = await lane(t, server.client);
  assert.equal((await host.call()).status, 0);
  server.child.kill("SIGTERM");
  assert.deepEqual(await server.exit, [0, null]);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("a server that cannot remove its sockets ends all the same", async (t) => {
  const server = await wild(t);
  rmSync(server.path);
  mkdirSync(server.path);
  server.child.kill("SIGTERM");
  assert.deepEqual(await server.exit, [0, null]);
  assert.match(server.stderr, /removing .*sock: /);
});

test("lesson 13: the end of the lifeline ends the server, and its sockets", async (t) => {
  const server = await wild(t);
  (server.child.stdio[3] as Writable).destroy();
  assert.deepEqual(await server.exit, [0, null]);
  assert.deepEqual(readdirSync(server.dir), ["plugin.mjs"]);
});

test("lesson 03: what plugins throw outside of their handlers neither ends the process nor counts as success", async (t) => {
  const server = await wild(t);
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
  // What cannot be looked at is as good as anything else.
  assert.equal((await host.call({ request: { port: 8 } })).status, 0);
  await until(() => host.logs.some(({ message }) => message.startsWith("uncaught exception: thrown: something")));
  await until(() => host.logs.some(({ message }) => message.startsWith("unhandled rejection: thrown: something")));
  assert.equal((await host.call()).status, 0);
  assert.equal(server.child.exitCode, null);
});

test("a killed server closes its connections; a new one in the same directory works", async (t) => {
  const server = await wild(t);
  const host = await lane(t, server.client);
  void host.call({ request: { port: 6 } });
  assert.deepEqual(await server.exit, [null, "SIGKILL"]);
  await host.closed;
  const again = start(t, ["serve", `${server.dir}/plugin.mjs`], { ...MANAGED, OUTRIGGER_RUN_DIR: server.dir });
  await until(() => again.stdout.includes("|grpc\n"));
});

test("an attached server, at a unix socket that is its owner's alone and at loopback", async (t) => {
  for (const listen of ["unix://DIR/a.sock", "tcp://127.0.0.1:0"]) {
    const server = start(t, ["serve", "DIR/plugin.mjs", "--listen", listen], {}, PLUGIN);
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

test("the newest version that both speak is chosen", async (t) => {
  const server = await wild(t);
  for (const [minProtocolVersion, protocolVersion] of [
    [0, 1],
    [1, 1],
    [1, 7],
    [0, 0],
    [2, 3],
  ]) {
    const answer = await unary<DescribeResponse>(server.client, PluginServer, "Describe", {
      minProtocolVersion,
      protocolVersion,
    });
    const {
      protocolVersion: chosen,
      minProtocolVersion: oldest,
      maxProtocolVersion: newest,
    } = answer as DescribeResponse;
    assert.deepEqual([chosen, oldest, newest], [1, 1, 1]);
  }
});

test("the end waits for hosts that watch the health to close their lanes", async (t) => {
  const server = await wild(t);
  const host = await lane(t, server.client);
  const { path, requestSerialize, responseDeserialize } = healthDefinition.Watch;
  const watch = server.client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, {
    service: "plugin",
  });
  const said: number[] = [];
  watch.on("data", (serving: number) => said.push(serving));
  watch.on("error", () => {}); // the server ends
  await until(() => said.length === 1);
  server.child.kill("SIGTERM");
  await until(() => said.length === 2);
  assert.deepEqual(said, [1, 2]);
  assert.equal((await host.call()).status, 0); // on its way while the host hears of it
  assert.equal(server.child.exitCode, null);
  await host.close();
  assert.deepEqual(await server.exit, [0, null]);
});

test("without a host and without --listen it says what it is", async (t) => {
  const server = start(t, ["serve", "DIR/plugin.mjs"], {}, PLUGIN);
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
  const described = start(t, ["describe", "DIR/plugin.mjs"], {}, PLUGIN);
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
    [["serve", "DIR/plugin.mjs", "--listen", "tcp://0.0.0.0:1"], /can be reached from other machines/],
    [
      ["serve", "DIR/plugin.mjs", "--listen", "tcp://127.0.0.1:0", "--listen-data=tcp://:0"],
      /tcp:\/\/0\.0\.0\.0:0 can be reached from other machines/,
    ],
    [["serve", "DIR/plugin.mjs", "--listen", "tcp://:0", "--tls-cert", "x"], /belong together/],
    [
      [
        "serve",
        "DIR/plugin.mjs",
        "--listen=tcp://:0",
        "--tls-cert=DIR/no",
        "--tls-key=DIR/no",
        "--tls-client-ca=DIR/no",
      ],
      /loading --tls-cert .*\/no: ENOENT/,
    ],
    [["serve", "DIR/nope.mjs", "--listen", "unix://DIR/s"], /nope\.mjs: found no such file/],
  ] as const) {
    const server = start(t, [...args], {}, PLUGIN);
    assert.deepEqual(await server.exit, [1, null], String(args));
    assert.match(server.stderr, message);
  }
  const help = start(t, ["--help"]);
  assert.deepEqual(await help.exit, [0, null]);
  assert.match(help.stdout, /outrigger-js serve PATH/);
});
