import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import type { PDK } from "../src/gen/pdk.js";
import { DispatchRequestSchema } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definePlugin } from "../src/plugin.js";
import { type DispatchStream, GrpcLane } from "../src/runtime/grpc_lane.js";
import { Instances } from "../src/runtime/instances.js";
import { MsgpackLane } from "../src/runtime/msgpack_lane.js";
import { everyPhase, instancesOf } from "./harness.js";
import { HostDriver, type PartialFacts, type ReadOutcome } from "./host_driver.js";

/* Nothing that a handler does takes a lane its reader, or another call its outcome. */

const TOKEN = Buffer.from("0123456789abcdef");
const ACCESS = 2;
const BODY_FILTER = 5;

const refuse = (): never => {
  throw new Error("refused");
};

/** Throws whatever is asked of it, and throws itself at that. */
const evil: object = new Proxy(class {}, {
  get: () => {
    throw evil;
  },
  getPrototypeOf: () => {
    throw evil;
  },
  has: () => {
    throw evil;
  },
  ownKeys: () => {
    throw evil;
  },
  apply: () => {
    throw evil;
  },
});

class Getters extends Error {
  override get message(): string {
    return refuse();
  }
  override get stack(): string {
    return refuse();
  }
  get code(): string {
    return refuse();
  }
}

/** Something with a method then of its own. */
function thenable(then: PropertyDescriptor, base: object = {}): object {
  // biome-ignore lint/suspicious/noThenProperty: what plugins may give, this test gives
  return Object.defineProperty(base, "then", then);
}

function twice(resolve: (value: unknown) => void): void {
  resolve(1);
  resolve(2);
}

class OddPromise<T> extends Promise<T> {
  static override get [Symbol.species](): PromiseConstructor {
    return refuse();
  }
}

class OddBytes extends Uint8Array {
  override get length(): number {
    return refuse();
  }
}

const cycle: Record<string, unknown> = {};
cycle.self = cycle;

function endless(k: PDK, n = 0): number {
  k.log.notice(`level ${n}`);
  return 1 + endless(k, n + 1);
}

/** Exits where no stack is left, as a handler does that catches whatever it is. */
function atTheEnd(k: PDK): void {
  try {
    atTheEnd(k);
  } catch {
    k.response.exit(500);
  }
}

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1));

/** Ways to fail. */
const FAILING: Record<string, (k: PDK) => unknown> = {
  "throws null": () => {
    throw null;
  },
  "throws what throws": () => {
    throw evil;
  },
  "throws an error with getters that throw": () => {
    throw new Getters();
  },
  "rejects with null": () => Promise.reject(null),
  "rejects with what throws": () => Promise.reject(evil),
  "rejects with an error with getters that throw": () => Promise.reject(new Getters()),
  "a thenable whose then throws": () => thenable({ value: refuse }),
  "a thenable whose then cannot be read": () => thenable({ get: refuse }),
  "a promise whose constructor cannot be read": () =>
    Object.defineProperty(Promise.resolve(), "constructor", { get: refuse }),
  "a body of BigInts in a cycle": (k) => k.response.exit(200, { ...cycle, n: 1n }),
  "a body with a getter that throws": (k) =>
    k.response.exit(200, Object.defineProperty({}, "a", { get: refuse, enumerable: true })),
  "a body that throws": (k) => k.response.exit(200, { evil }),
  "a header that throws": (k) => k.service.request.setHeader("x", evil as never),
  "a log line that throws": (k) => k.log.err(evil),
  "no end of calls": (k) => endless(k),
  "no end of calls, later": async (k) => {
    await pause();
    endless(k);
  },
  "a shared value with a symbol": (k) => k.ctx.shared.set("a", Symbol("s")),
  "a shared value in a cycle": (k) => k.ctx.shared.set("a", cycle),
  "a shared value of 10^6 elements": (k) => k.ctx.shared.set("a", new Array(1e6).fill(1)),
  "a million header values": (k) => k.service.request.setHeader("x", new Array(1e6).fill("")),
  "a promise of an odd subclass": () => OddPromise.resolve(),
};

/** Odd, and no failure. */
const FINE: Record<string, (k: PDK) => unknown> = {
  "a promise whose then throws": () => thenable({ value: refuse }, Promise.resolve()),
  "a promise whose then settles twice": () => thenable({ value: twice }, Promise.resolve()),
  "a thenable that settles twice": () => thenable({ value: twice }),
  "what throws": () => evil,
  "an exit code": () => {
    process.exitCode = 0;
  },
  "a body of 10^6 elements": (k) => k.response.exit(200, new Array(1e6).fill(1)),
  "an exit at the end of the stack": (k) => atTheEnd(k),
  "an exit at the end of the stack, later": async (k) => {
    await pause();
    atTheEnd(k);
  },
  "symbol keys": (k) => k.response.exit(200, { [Symbol("s")]: 1, a: 1n }),
  "throws what throws after an exit": (k) => {
    try {
      k.response.exit(200);
    } catch {
      throw evil;
    }
  },
  "rejects with what throws after an exit": async (k) => {
    try {
      k.response.exit(200);
    } catch {
      throw evil;
    }
  },
};

/** What body_filter may return, and must not. */
const BODIES: Record<string, () => unknown> = {
  "a body that throws": () => evil,
  "a body whose length throws": () => new OddBytes(3),
};

const WAYS = { ...FAILING, ...FINE, ...BODIES };

/** A lane to instance 1, which does nothing, and from 2 on one for each way. */
async function open(t: TestContext, onSocket: (own: Socket) => void = () => {}): Promise<HostDriver> {
  const dir = mkdtempSync(join(tmpdir(), "orjs-"));
  const handlers = [(): void => {}, ...Object.values(WAYS)];
  const plugins = handlers.map((handler, i) =>
    definePlugin({ name: `p${i}`, version: "1", instance: everyPhase((k) => handler(k)) }),
  );
  const instances = new Instances(plugins, (message) => assert.fail(message));
  for (const [i, { name }] of plugins.entries()) await instances.configure(i + 1, name, Buffer.from("{}"));
  const server = createServer((socket) => {
    const { socket: own } = new MsgpackLane(socket, instances, TOKEN);
    onSocket(own);
    t.after(() => own.destroy());
  });
  await new Promise<void>((resolve) => server.listen(join(dir, "d.sock"), resolve));
  t.after(() => {
    server.close();
    rmSync(dir, { recursive: true });
  });
  const driver = await HostDriver.open(join(dir, "d.sock"), TOKEN);
  t.after(() => driver.close());
  return driver;
}

test("whatever a handler throws, returns or says: its call has an outcome, and the lane is read on", async (t) => {
  const host = await open(t);
  const { exitCode } = process;
  t.after(() => {
    process.exitCode = exitCode;
  });
  for (const [i, way] of Object.keys(WAYS).entries()) {
    const phase = way in BODIES ? BODY_FILTER : ACCESS;
    const fails = !(way in FINE);
    const alone = await answered(host, way, { instance: i + 2, phase });
    assert.equal(alone.error !== null, fails, `${way}: ${alone.error?.[1]}`);
    assert.equal((await answered(host, `after ${way}`, { phase })).error, null);
    assert.deepEqual(host.goaway, [], way);
  }
});

/** The outcome of a call. */
function answered(host: HostDriver, what: string, facts: PartialFacts): Promise<ReadOutcome> {
  const closed = host.closed.then(() => assert.fail(`${what}: the lane is closed: ${host.goaway}`));
  const late = new Promise<never>((_, reject) =>
    setTimeout(reject, 20_000, new Error(`${what}: no outcome came within twenty seconds`)).unref(),
  );
  return Promise.race([host.call(facts), closed, late]);
}

test("a lane that cannot be written to ends, whenever that shows", async (t) => {
  for (const way of ["throws null", "no end of calls, later"]) {
    let own: Socket | undefined;
    const host = await open(t, (socket) => {
      own = socket;
    });
    assert.ok(own);
    own.write = refuse;
    void host.call({ instance: Object.keys(WAYS).indexOf(way) + 2 });
    await host.closed;
  }
});

test("a lane of carrier grpc that cannot be written to ends with a status", async () => {
  const stream = Object.assign(new EventEmitter(), { write: (_: unknown): boolean => true, end: (): void => {} });
  const lane = new GrpcLane(stream as unknown as DispatchStream, await instancesOf(pause));
  const ended = new Promise<{ code: number }>((resolve) => stream.once("error", resolve));
  const say = (callId: number, message: MessageInitShape<typeof DispatchRequestSchema>["message"]): boolean =>
    stream.emit("data", create(DispatchRequestSchema, { callId, message: message as never }));
  say(0, { case: "hello", value: { version: 1 } });
  assert.ok(lane.lane.ready);
  stream.write = refuse;
  say(1, { case: "call", value: { instance: 1n, phase: ACCESS } });
  assert.equal((await ended).code, status.INTERNAL);
  assert.ok(!lane.lane.busy);
});

test("a configuration that is refused with something that throws is refused", async () => {
  class Refusing {
    configure(): never {
      throw evil;
    }
    access(): void {}
  }
  const plugin = definePlugin({ name: "refusing", version: "1", instance: Refusing });
  const instances = new Instances([plugin], (message) => assert.fail(message));
  const [refused] = await instances.configure(1, "refusing", Buffer.from("{}"));
  assert.deepEqual(refused, { path: "", message: "thrown: something whose text cannot be made" });
});
