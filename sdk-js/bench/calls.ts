/**
 * Calls per second and CPU per call of one server process, with 64 calls in flight on one lane: a handler that does nothing, and
 * one that reads two headers and its configuration and sets two headers. Run with `npm run bench`.
 */
import { fork } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PDK } from "../src/gen/pdk.js";
import { definePlugin } from "../src/plugin.js";
import { encodeCall } from "../src/runtime/encode_call.js";
import type { Line } from "../src/runtime/headers.js";
import { Instances } from "../src/runtime/instances.js";
import { MsgpackLane } from "../src/runtime/msgpack_lane.js";
import { facts, HostDriver } from "../test/host_driver.js";

const IN_FLIGHT = 64;
const TOKEN = Buffer.alloc(16, 7);

class Noop {
  access(): void {}
}

class Hello {
  constructor(readonly config: { greeting: string; name: string }) {}

  access(kong: PDK): void {
    const name = kong.request.getHeader("X-Name") ?? this.config.name;
    const mood = kong.request.getHeader("X-Mood");
    const text = `${this.config.greeting}, ${name}${mood === null ? "" : ` (${mood})`}`;
    kong.service.request.setHeader("X-Hello-Js", text);
    kong.response.setHeader("X-Hello-Js", text);
  }
}

class HelloAsync extends Hello {
  override async access(kong: PDK): Promise<void> {
    await null;
    super.access(kong);
  }
}

const HEADERS: Line[] = [
  ["host", "shop.example"],
  ["user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36"],
  ["accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"],
  ["accept-encoding", "gzip, deflate, br, zstd"],
  ["accept-language", "en-GB,en;q=0.9,de;q=0.8"],
  ["cache-control", "no-cache"],
  ["cookie", "session=4f1c2a9b7d3e5f60718293a4b5c6d7e8; theme=dark; consent=yes"],
  ["referer", "https://shop.example/catalogue/shoes?page=2&sort=price"],
  ["x-forwarded-for", "203.0.113.7"],
  ["x-request-id", "8f14e45fceea167a5a36dedd4bea2543"],
  ["x-name", "Ada"],
  ["x-trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
];

async function serve(address: string): Promise<void> {
  const plugins = [
    definePlugin({ name: "noop", version: "1", instance: Noop }),
    definePlugin({ name: "hello", version: "1", instance: Hello }),
    definePlugin({ name: "hello-async", version: "1", instance: HelloAsync }),
  ];
  const instances = new Instances(plugins, console.error);
  const config = Buffer.from(JSON.stringify({ greeting: "hello", name: "world" }));
  await instances.configure(1, "noop", config);
  await instances.configure(2, "hello", config);
  await instances.configure(3, "hello-async", config);
  createServer((socket) => new MsgpackLane(socket, instances, TOKEN)).listen(address, () => process.send?.("ready"));
  process.on("message", () => process.send?.(process.cpuUsage()));
  process.on("disconnect", () => process.exit());
}

async function measure(
  name: string,
  instance: number,
  seconds: number,
  address: string,
  cpu: () => Promise<number>,
): Promise<void> {
  const driver = await HostDriver.open(address, TOKEN);
  const body = encodeCall(
    facts({ instance, request: { method: "GET", target: "/catalogue/shoes?page=2&sort=price", headers: HEADERS } }),
  );
  let done = 0;
  let free: number[] = Array.from({ length: IN_FLIGHT }, (_, i) => i + 1);
  let stop = false;
  let finished: () => void = () => {};
  const send = (): void => {
    scheduled = false;
    const ids = free;
    free = [];
    driver.socket.write(Buffer.concat(ids.map((id) => driver.frameOf(id, body, () => reply(id)))));
  };
  let scheduled = false;
  const reply = (id: number): void => {
    done++;
    free.push(id);
    if (stop) {
      if (free.length === IN_FLIGHT) finished();
    } else if (!scheduled) {
      scheduled = true;
      process.nextTick(send);
    }
  };
  const over = new Promise<void>((resolve) => {
    finished = resolve;
  });
  send();
  await new Promise((resolve) => setTimeout(resolve, 1500)); // warm up
  const [from, cpuFrom, doneFrom] = [process.hrtime.bigint(), await cpu(), done];
  const ownFrom = process.cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const elapsed = Number(process.hrtime.bigint() - from) / 1e9;
  const calls = done - doneFrom;
  const server = ((await cpu()) - cpuFrom) / calls;
  const own = process.cpuUsage(ownFrom);
  stop = true;
  await over;
  await driver.close();
  console.log(
    `${name.padEnd(12)} ${Math.round(calls / elapsed)} calls/s, server CPU ${server.toFixed(2)} µs/call, ` +
      `driver CPU ${((own.user + own.system) / calls).toFixed(2)} µs/call, ${body.length} B out`,
  );
}

async function main(): Promise<void> {
  if (process.argv[2] === "serve") return serve(process.argv[3] as string);
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  const address = join(dir, "d.sock");
  const child = fork(fileURLToPath(import.meta.url), ["serve", address]);
  try {
    await new Promise((resolve) => child.once("message", resolve));
    const cpu = (): Promise<number> =>
      new Promise((resolve) => {
        child.once("message", (usage: NodeJS.CpuUsage) => resolve(usage.user + usage.system));
        child.send("cpu");
      });
    for (let round = 0; round < 2; round++) {
      await measure("no-op", 1, 3, address, cpu);
      await measure("hello", 2, 3, address, cpu);
      await measure("hello async", 3, 3, address, cpu);
    }
  } finally {
    child.kill();
    rmSync(dir, { recursive: true });
  }
}

await main();
