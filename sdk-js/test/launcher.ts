/** The launcher in a process of its own, for tests. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { Client, credentials } from "@grpc/grpc-js";
import { type DescribeResponse, PluginServer } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definitionOf } from "../src/runtime/control.js";
import { HostDriver, type HostOptions, until } from "./host_driver.js";

const BIN = fileURLToPath(new URL("../../bin/outrigger-js.js", import.meta.url));
const COOKIE = "82f1b1a5c0d94e1f";

export interface Started {
  readonly child: ChildProcess;
  readonly dir: string;
  stdout: string;
  stderr: string;
  /** Resolves with code and signal, when all that it wrote has been read, too. */
  readonly exit: Promise<[number | null, NodeJS.Signals | null]>;
}

/** Starts the launcher; whatever happens, it is gone when the test ends. */
export function start(t: TestContext, args: string[], env: Record<string, string> = {}, plugin = ""): Started {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  writeFileSync(join(dir, "plugin.mjs"), plugin);
  const child = spawn(process.execPath, [BIN, ...args.map((arg) => arg.replace("DIR", dir))], {
    env: { PATH: process.env.PATH, OUTRIGGER_RUN_DIR: dir, ...env },
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  const ended = new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.once("exit", (code, signal) => resolve([code, signal])),
  );
  const [stdout, stderr] = [child.stdout as Readable, child.stderr as Readable];
  const read = [stdout, stderr].map((stream) => new Promise((resolve) => stream.once("close", resolve)));
  const exit = Promise.all(read).then(() => ended);
  const started: Started = { child, dir, stdout: "", stderr: "", exit };
  stdout.setEncoding("utf8").on("data", (text: string) => (started.stdout += text));
  stderr.setEncoding("utf8").on("data", (text: string) => (started.stderr += text));
  t.after(async () => {
    child.kill("SIGKILL");
    await exit;
    rmSync(dir, { recursive: true });
  });
  return started;
}

export const MANAGED = { OUTRIGGER_PLUGIN: COOKIE, OUTRIGGER_LIFELINE_FD: "3", PLUGIN_PROTOCOL_VERSIONS: "1" };

/** A server that the host has started, serving these modules; DIR/plugin.mjs holds the source of a plugin. */
export async function managed(
  t: TestContext,
  paths: readonly string[],
  plugin = "",
): Promise<Started & { client: Client; path: string }> {
  const started = start(t, ["serve", ...paths], MANAGED, plugin);
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

export function unary<T>(
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

/** A lane of carrier msgpack to a server, which is closed when the test ends. */
export async function openLane(t: TestContext, client: Client, options: HostOptions = {}): Promise<HostDriver> {
  const { dataPlanes } = await unary<DescribeResponse>(client, PluginServer, "Describe", {});
  const [plane] = dataPlanes;
  assert.ok(plane);
  const host = await HostDriver.open(plane.address, plane.token, options);
  t.after(() => host.close());
  return host;
}
