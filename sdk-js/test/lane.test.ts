import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import { FrameType } from "../src/runtime/frame.js";
import { MsgpackLane } from "../src/runtime/msgpack_lane.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import { type HandlerFn, instancesOf } from "./harness.js";
import { bodyOf, frame, greeting, HostDriver, type HostOptions, headerOf, helloFrame, until } from "./host_driver.js";

const TOKEN = Buffer.from("0123456789abcdef");

/** A lane over a unix socket whose plugin handles every phase with one function; it is gone when the test ends. */
async function serve(t: TestContext, handler: HandlerFn, frameMs?: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  const address = join(dir, "d.sock");
  const instances = await instancesOf(handler);
  const server = createServer((socket) => {
    new MsgpackLane(socket, instances, TOKEN, frameMs);
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(address, resolve));
  t.after(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });
  return address;
}

async function open(t: TestContext, handler: HandlerFn, options: HostOptions = {}): Promise<HostDriver> {
  const driver = await HostDriver.open(await serve(t, handler), TOKEN, options);
  t.after(() => driver.close());
  return driver;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until it is refused, and says how: what ends a call is on its way. */
async function refusal(ask: () => unknown): Promise<unknown> {
  for (;;) {
    try {
      ask();
    } catch (thrown) {
      return thrown;
    }
    await pause(1);
  }
}

test("hello, a call and its outcome", async (t) => {
  const host = await open(t, (k) => k.service.request.setHeader("X-A", k.request.getHeader("x-name") ?? ""));
  assert.deepEqual(host.hello?.slice(0, 3), [1, "js", "0.1.0"]);
  const { ops, status, error } = await host.call({ request: { headers: [["x-name", "Ada"]] } });
  assert.deepEqual([status, error, ops], [0, null, [[1, "X-A", [Uint8Array.from(Buffer.from("Ada"))]]]]);
});

test("lesson 12: one byte at a time", async (t) => {
  const host = await HostDriver.raw(await serve(t, (k) => k.response.setStatus(200 + k.request.getPort())));
  t.after(() => host.close());
  const { bytes, outcome } = host.prepare({ request: { port: 7 } });
  for (const byte of Buffer.concat([greeting(TOKEN), helloFrame(), bytes])) {
    if (!host.socket.write(Buffer.of(byte))) await new Promise((resolve) => host.socket.once("drain", resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual((await outcome).ops, [[20, 207]]);
});

test("coalesced frames: a hundred calls in one piece, each with its own answer in one write", async (t) => {
  const host = await open(t, (k) => k.response.setStatus(100 + k.request.getPort()));
  const calls = Array.from({ length: 100 }, (_, i) => host.prepare({ request: { port: i } }));
  let reads = 0;
  host.socket.on("data", () => reads++);
  host.socket.write(Buffer.concat(calls.map(({ bytes }) => bytes)));
  const outcomes = await Promise.all(calls.map(({ outcome }) => outcome));
  assert.deepEqual(
    outcomes.map(({ ops }) => ops[0]?.[1]),
    Array.from({ length: 100 }, (_, i) => 100 + i),
  );
  assert.ok(reads <= 3, `${reads} reads`);
});

test("asynchronous handlers of one turn are answered in one write, too", async (t) => {
  const host = await open(t, async (k) => {
    for (let i = 0; i < (k.request.getPort() % 5) + 1; i++) await null;
    k.response.setStatus(200);
  });
  const calls = Array.from({ length: 50 }, (_, i) => host.prepare({ request: { port: i } }));
  let reads = 0;
  host.socket.on("data", () => reads++);
  host.socket.write(Buffer.concat(calls.map(({ bytes }) => bytes)));
  await Promise.all(calls.map(({ outcome }) => outcome));
  assert.ok(reads <= 3, `${reads} reads`);
});

test("lesson 02: four slow handlers run side by side, and a quick one overtakes them", async (t) => {
  let running = 0;
  let release = (): void => {};
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  const host = await open(t, async (k) => {
    if (k.request.getPort() !== 1) return;
    running++;
    await released;
  });
  const order: string[] = [];
  const slow = Array.from({ length: 4 }, () => host.call({ request: { port: 1 } }).then(() => order.push("slow")));
  await until(() => running === 4, "four handlers at once");
  await host.call({ request: { port: 2 } }).then(() => order.push("quick"));
  release();
  await Promise.all(slow);
  assert.deepEqual(order, ["quick", "slow", "slow", "slow", "slow"]);
});

test("parallel calls do not mix their data", async (t) => {
  const host = await open(t, async (k: PDK) => {
    const port = k.request.getPort();
    k.ctx.shared.set("p", port);
    await pause(port % 7);
    k.service.request.setHeader("x-p", `${port} ${k.ctx.shared.get("p")} ${k.request.getHeader("x-i")}`);
  });
  const outcomes = await Promise.all(
    Array.from({ length: 100 }, (_, i) => host.call({ request: { port: i, headers: [["x-i", String(i)]] } })),
  );
  for (const [i, outcome] of outcomes.entries()) assert.equal(headerOf(outcome, 1), `${i} ${i} ${i}`);
});

test("lesson 01: a failing handler delays nobody, whenever it fails", async (t) => {
  const host = await open(t, async (k) => {
    const port = k.request.getPort();
    if (port === 0) throw new Error("at once");
    k.response.setHeader("X-Lost", "1");
    if (port === 4) throw new Error("between");
    await pause(5);
    if (port === 1) throw new Error("later");
  });
  const outcomes = await Promise.all([0, 1, 2, 4, 0, 3].map((port) => host.call({ request: { port } })));
  assert.deepEqual(
    outcomes.map(({ error, ops }) => [error?.[1] ?? null, ops.length]),
    [
      ["at once", 0],
      ["later", 0],
      [null, 1],
      ["between", 0],
      ["at once", 0],
      [null, 1],
    ],
  );
});

test("an exit is answered at once, although the handler goes on", async (t) => {
  let release: () => void = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const host = await open(t, async (k) => {
    try {
      k.response.exit(403, "no");
    } catch {
      await held;
      throw new Error("too late to matter");
    }
  });
  const { status, ops } = await host.call();
  assert.deepEqual([status, ops[0]?.slice(0, 2)], [0, [25, 403]]);
  release();
  await until(() => host.logs.length > 0);
  assert.match(host.logs[0]?.message ?? "", /failed after its exit, which stands: too late to matter/);
});

test("lesson 16: questions and answers, small and of 5 MiB, both ways", async (t) => {
  const big = new Uint8Array(5 << 20).map((_, i) => i * 31);
  const host = await open(
    t,
    async (k) => {
      const body = await k.request.getRawBody();
      k.service.request.setRawBody(body.reverse());
    },
    { answer: () => big },
  );
  const { ops, error } = await host.call();
  assert.equal(error, null);
  assert.equal(Buffer.compare(ops[0]?.[1] as Uint8Array, Buffer.from(big).reverse()), 0);
  assert.equal(host.asks, 1);
});

test("large bodies of a call come ahead of it, and other calls pass between the chunks", async (t) => {
  const host = await open(t, async (k) => {
    if (k.request.getPort() === 1) k.response.exit(200, await k.request.getRawBody());
  });
  const body = new Uint8Array(3 << 20).fill(5);
  const large = host.prepare({ request: { port: 1 }, requestBody: body });
  const small = host.prepare();
  const middle = (Math.floor(large.bytes.length / 2 / (16 + 32768)) + 1) * (16 + 32768);
  host.socket.write(Buffer.concat([large.bytes.subarray(0, middle), small.bytes, large.bytes.subarray(middle)]));
  const order: string[] = [];
  await Promise.all([large.outcome.then(() => order.push("large")), small.outcome.then(() => order.push("small"))]);
  assert.deepEqual(order, ["small", "large"]);
  assert.equal(bodyOf(await large.outcome).length, body.length);
});

test("a quick call overtakes a large answer", async (t) => {
  const big = new Uint8Array(7 << 20).fill(1);
  const host = await open(t, (k) => {
    if (k.request.getPort() === 1) k.response.exit(200, big);
  });
  const calls = [host.prepare({ request: { port: 1 } }), host.prepare()] as const;
  host.socket.write(Buffer.concat(calls.map(({ bytes }) => bytes)));
  const [large, small] = [calls[0].outcome, calls[1].outcome];
  const order: string[] = [];
  await Promise.all([large.then(() => order.push("large")), small.then(() => order.push("small"))]);
  assert.deepEqual(order, ["small", "large"]);
  assert.equal(bodyOf(await large).length, big.length);
});

test("gathered bytes are bounded by max_body", async (t) => {
  const host = await open(t, async (k) => void (await k.request.getRawBody()), {
    maxBody: 100_000,
    answer: () => new Uint8Array(200_000),
  });
  const sent = await host.call({ requestBody: new Uint8Array(150_000) });
  assert.equal(sent.error?.[0], "too_large");
  const asked = await host.call();
  assert.equal(asked.error?.[0], "too_large");
  assert.equal((await host.call({ requestBody: new Uint8Array(90_000) })).error, null);
});

test("cancel: the handler is refused, no outcome is sent, the id may be used again", async (t) => {
  const codes: unknown[] = [];
  const host = await open(t, async (k) => {
    if (k.request.getPort() !== 1) return;
    codes.push(((await refusal(() => k.service.request.setHeader("a", "b"))) as Error).message);
  });
  const call = host.prepare({ request: { port: 1 } });
  host.socket.write(call.bytes);
  host.cancel(call.id);
  await until(() => codes.length > 0);
  assert.match(String(codes[0]), /wrong_phase: service\.request\.set_header: called after the call was cancelled/);
  assert.equal((await host.call()).status, 0);
  assert.deepEqual(host.stray, []);
});

test("cancel while a question is on its way lets the handler go on", async (t) => {
  let seen: unknown;
  const host = await open(
    t,
    async (k) => {
      if (k.request.getPort() === 1) await k.request.getRawBody().catch((thrown: unknown) => (seen = thrown));
    },
    { answer: () => null },
  );
  const call = host.prepare({ request: { port: 1 } });
  host.socket.write(Buffer.concat([call.bytes, frame(FrameType.cancel, call.id, Buffer.alloc(0))]));
  await until(() => seen !== undefined);
  assert.equal((seen as { code?: string }).code, "wrong_phase");
  assert.equal((await host.call()).status, 0); // the late answer did not close the lane
});

test("entities are resolved in the order of arrival", async (t) => {
  const host = await open(t, async (k) => {
    await pause(20);
    k.service.request.setHeader("x", k.router.getRoute()?.name ?? "none");
  });
  host.entity(5, { id: "r", name: "first" });
  const before = host.call({ route: 5 });
  host.entity(5, { id: "r", name: "second" });
  const after = host.call({ route: 5 });
  const names = (await Promise.all([before, after])).map((outcome) => headerOf(outcome));
  assert.deepEqual(names, ["first", "second"]);
});

test("lesson 18: log lines keep level, call and order, and lines below the level are not sent", async (t) => {
  const host = await open(
    t,
    (k) => {
      for (let i = 0; i < 1000; i++) k.log.err("line ", i);
      k.log.info("not sent");
    },
    { logLevel: 2 },
  );
  await host.call();
  assert.equal(host.logs.length, 1000);
  assert.deepEqual(host.logs[999], { call: 1, level: 4, message: "line 999" });
});

test("a flood of log lines that nobody reads is cut and counted", async (t) => {
  const host = await open(t, (k) => {
    for (let i = 0; i < 2000; i++) k.log.err("x".repeat(20_000));
  });
  await host.call();
  await host.call();
  const total = host.logs.length;
  assert.ok(total < 4000, `${total} lines`);
  assert.ok(host.logs.some(({ message, level }) => level === 3 && /log lines were dropped/.test(message)));
});

test("an unknown instance and a phase that is not handled", async (t) => {
  const host = await open(t, () => {});
  assert.equal((await host.call({ instance: 99 })).error?.[0], "unknown_instance");
  assert.equal((await host.call({ instance: 2n ** 63n })).error?.[0], "unknown_instance");
  assert.equal((await host.call({ phase: 9 })).error?.[0], "wrong_phase");
  assert.equal((await host.call()).status, 0);
});

const nils = (count: number): null[] => Array.from({ length: count }, () => null);

test("what breaks the protocol closes that lane with goaway, and no other", async (t) => {
  const address = await serve(t, (k) => void (k.request.getPort() === 1 && k.router.getRoute()));
  const other = await HostDriver.open(address, TOKEN);
  t.after(() => other.close());
  const long = Buffer.alloc(16);
  long.writeUInt32BE((16 << 20) + 1, 0);
  const breaking: [string, Buffer][] = [
    ["a frame over the limit", long],
    ["an unknown type", frame(99, 1, encodeValue([]))],
    ["a server's frame", frame(FrameType.outcome, 1, encodeValue([0]))],
    ["a call that is no array", frame(FrameType.call, 1, encodeValue({}))],
    ["a call that is cut off", frame(FrameType.call, 1, Buffer.from([0x93, 1, 2]))],
    ["bytes behind a call", frame(FrameType.call, 1, Buffer.from([0x92, 1, 2, 0xc0]))],
    [
      "chunks that no field names",
      Buffer.concat([frame(FrameType.chunk, 1, Buffer.from("x")), frame(FrameType.call, 1, encodeValue([1, 2]))]),
    ],
    ["steps of body_filter", frame(FrameType.call, 1, encodeValue([1, 5, ...nils(23), [[2]]]))],
    ["prefetched answers that are no list", frame(FrameType.call, 1, encodeValue([1, 2, ...nils(22), -300]))],
    [
      "more prefetched answers than a mask has bits",
      frame(FrameType.call, 1, encodeValue([1, 2, ...nils(22), Array.from({ length: 17 }, () => [1, [], null])])),
    ],
    ["an answer to nothing", frame(FrameType.answer, 77, encodeValue([null, null]))],
    ["a second hello", helloFrame()],
    ["an entity slot of 4096", frame(FrameType.entity, 0, encodeValue([4096, {}]))],
    ["random bytes", Buffer.from("\xff".repeat(64), "latin1")],
  ];
  for (const [what, bytes] of breaking) {
    const host = await HostDriver.open(address, TOKEN);
    host.socket.write(bytes);
    await host.closed;
    assert.equal(host.goaway[0]?.[0], "bad_frame", what);
  }
  const host = await HostDriver.open(address, TOKEN);
  const call = await host.call({ request: { port: 1 }, route: 9 });
  assert.equal(call.status, 1);
  await host.closed;
  assert.match(host.goaway[0]?.[1] ?? "", /entity slot 9 is empty/);
  assert.equal((await other.call()).status, 0);
});

test("a call id that is in flight is refused", async (t) => {
  const host = await open(t, () => pause(1000));
  const call = host.prepare();
  host.socket.write(Buffer.concat([call.bytes, call.bytes]));
  await host.closed;
  assert.equal(host.goaway[0]?.[0], "bad_frame");
});

test("greetings that are not ours close the connection", async (t) => {
  const address = await serve(t, () => {});
  for (const bytes of [
    greeting(Buffer.from("0123456789abcdeX")),
    greeting(TOKEN, 2),
    Buffer.from("GET / HTTP/1.1\r\n\r\n"),
    greeting(Buffer.alloc(0)),
  ]) {
    const host = await HostDriver.raw(address);
    host.socket.write(bytes);
    await host.closed;
    assert.equal(host.hello, null);
  }
  const early = await HostDriver.raw(address);
  early.socket.write(Buffer.concat([greeting(TOKEN), early.prepare().bytes]));
  await early.closed;
  assert.equal(early.goaway[0]?.[0], "bad_frame");
});

test("a host that goes away takes its calls with it", async (t) => {
  let refused: unknown;
  let begun = false;
  const address = await serve(t, async (k) => {
    begun = true;
    refused = await refusal(() => k.request.getPort());
  });
  const host = await HostDriver.open(address, TOKEN);
  void host.call();
  await until(() => begun);
  await host.close();
  await until(() => refused !== undefined);
  assert.equal((refused as { code?: string }).code, "wrong_phase");
});

test("a frame that does not end closes its lane, and no other", async (t) => {
  const address = await serve(t, (k) => k.response.setStatus(200), 50);
  const slow = await HostDriver.open(address, TOKEN);
  const other = await HostDriver.open(address, TOKEN);
  t.after(() => other.close());
  const header = Buffer.alloc(16);
  header.writeUInt32BE(8 << 20, 0);
  header[8] = FrameType.chunk;
  slow.socket.write(header);
  const drip = setInterval(() => slow.socket.write(Buffer.of(0)), 5);
  slow.socket.on("error", () => {});
  try {
    await slow.closed;
  } finally {
    clearInterval(drip);
    slow.socket.destroy();
  }
  assert.deepEqual(slow.goaway, [["bad_frame", "a frame did not arrive within 50 ms"]]);
  assert.equal((await other.call()).status, 0);
});

test("the signal of a call: aborted by a cancel, by an exit, at the end and with the lane", async (t) => {
  const signals: AbortSignal[] = [];
  const reasons: unknown[] = [];
  const host = await open(t, async (k) => {
    const { signal } = k;
    assert.equal(signal, k.signal);
    signals.push(signal);
    const port = k.request.getPort();
    if (port === 1) return;
    if (port === 2) k.response.exit(401);
    await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    reasons.push(signal.reason.name);
    k.response.setStatus(500); // refused: nothing of it is applied
  });
  await host.call({ request: { port: 1 } });
  await host.call({ request: { port: 2 } });
  assert.deepEqual(
    signals.map(({ aborted }) => aborted),
    [true, true],
  );
  const cancelled = host.prepare({ request: { port: 3 } });
  host.socket.write(cancelled.bytes);
  await until(() => signals.length === 3, "the handler runs");
  assert.equal(signals[2]?.aborted, false);
  host.cancel(cancelled.id);
  await until(() => reasons.length === 1, "the handler hears of it");
  host.socket.write(host.prepare({ request: { port: 4 } }).bytes);
  await until(() => signals.length === 4, "the handler runs");
  await host.close();
  await until(() => reasons.length === 2, "the handler hears of the end of the lane");
  assert.deepEqual(reasons, ["AbortError", "AbortError"]);
  assert.deepEqual(host.stray, []);
});

test("a signal that is first asked for after the end is aborted", async (t) => {
  const kept: PDK[] = [];
  const host = await open(t, (k) => void kept.push(k));
  await host.call();
  assert.equal(kept[0]?.signal.aborted, true);
});
