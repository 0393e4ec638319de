import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { PDK } from "../src/gen/pdk.js";
import { DispatchRequestSchema, type DispatchResponse } from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definePlugin } from "../src/plugin.js";
import { encodeCall, type PrefetchedFacts, type StepFacts } from "../src/runtime/encode_call.js";
import { type DispatchStream, GrpcLane } from "../src/runtime/grpc_lane.js";
import { Instances } from "../src/runtime/instances.js";
import { type Carrier, Lane } from "../src/runtime/lane.js";
import { MsgpackLane } from "../src/runtime/msgpack_lane.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import { CallView } from "../src/runtime/view.js";
import { everyPhase, type HandlerFn, HELLO, instancesOf } from "./harness.js";
import { facts, HostDriver, type HostOptions, headerOf, type ReadOutcome, textOf, until } from "./host_driver.js";

/* Fused calls and prefetched answers over a lane: docs/wire.md sections 5.3 and 5.4. Instance 1 runs the first handler, 2 the second. */

const TOKEN = Buffer.from("0123456789abcdef");

async function open(
  t: TestContext,
  handlers: readonly HandlerFn[],
  options: HostOptions = {},
  onLane: (lane: MsgpackLane) => void = () => {},
): Promise<HostDriver> {
  const address = join(mkdtempSync(join(tmpdir(), "orjs-")), "d.sock");
  const plugins = handlers.map((handler, i) =>
    definePlugin({ name: `plugin-${i + 1}`, version: "1", instance: everyPhase(handler) }),
  );
  const instances = new Instances(plugins, (message) => assert.fail(message));
  for (const [i, { name }] of plugins.entries()) {
    await instances.configure(i + 1, name, Buffer.from("{}"), `record-${i + 1}`);
  }
  const server = createServer((socket) => {
    onLane(new MsgpackLane(socket, instances, TOKEN));
    t.after(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(address, resolve));
  t.after(() => {
    server.close();
    rmSync(join(address, ".."), { recursive: true });
  });
  const driver = await HostDriver.open(address, TOKEN, options);
  t.after(() => driver.close());
  return driver;
}

function step(instance: number, over: Partial<StepFacts> = {}): StepFacts {
  return { instance, timeoutMs: 1000, plugin: [], prefetched: [], trace: null, ...over };
}

function ahead(fn: number, args: readonly unknown[], value: unknown): PrefetchedFacts {
  return { fn, args: args.map((arg) => encodeValue(arg)), value: encodeValue(value) };
}

const stepsOf = (outcomes: readonly ReadOutcome[]): number[] => outcomes.map((outcome) => outcome.step);

test("hello says that steps and prefetched answers are understood", async (t) => {
  const host = await open(t, []);
  assert.equal(host.hello?.[4], 3);
});

test("a step that ends the process does not take the outcome of the one before along", {
  timeout: 20_000,
}, async (t) => {
  let own: MsgpackLane | undefined;
  const exit = (): void => {
    own?.lane.flush(); // what the process does when it exits
    own?.socket.destroy();
  };
  const host = await open(t, [(k) => void k.ctx.shared.set("a", 1), exit], {}, (lane) => {
    own = lane;
  });
  const outcomes = await host.steps({ steps: [step(2)] }, 1);
  assert.deepEqual(stepsOf(outcomes), [0]);
  assert.deepEqual(
    outcomes[0]?.ops.map(([code]) => code),
    [50],
  );
  await host.closed;
});

test("steps run in order on the same state, each with an instance, ctx.plugin, trace and operations of its own", async (t) => {
  const write = (k: PDK): void => {
    k.service.request.setHeader("X-A", "1");
    k.service.request.addHeader("X-B", "2");
    k.service.request.clearHeader("X-C");
    k.service.request.setMethod("POST");
    k.ctx.shared.set("s", [1]);
    k.ctx.plugin.set("p", 1);
    k.log.warn("one");
  };
  const read = (k: PDK): void => {
    k.log.warn("two");
    const { request, ctx, tracing, plugin } = k;
    k.response.setHeader(
      "X-Seen",
      JSON.stringify([
        request.getHeader("x-a"),
        request.getHeaders().toObject()["x-b"],
        request.getHeader("x-c"),
        request.getMethod(),
        ctx.shared.get("s"),
        ctx.plugin.get("p"),
        ctx.plugin.get("q"),
        tracing.getTraceparent(),
        plugin.getId(),
      ]),
    );
  };
  const host = await open(t, [write, read]);
  const headers: [string, string][] = [
    ["x-b", "1"],
    ["x-c", "1"],
  ];
  const second = step(2, {
    plugin: [["q", encodeValue("own")]],
    trace: { parent: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", state: "" },
  });
  const outcomes = await host.steps({ request: { headers }, steps: [second] }, 2);
  assert.deepEqual(stepsOf(outcomes), [0, 1]);
  assert.deepEqual(
    outcomes.map(({ ops }) => ops.map(([code]) => code)),
    [[1, 2, 3, 4, 50, 51], [21]],
  );
  assert.deepEqual(JSON.parse(headerOf(outcomes[1] as ReadOutcome)), [
    "1",
    ["1", "2"],
    null,
    "POST",
    [1],
    null,
    "own",
    "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
    "record-2",
  ]);
  assert.deepEqual(
    host.logs.map(({ message, step: of = 0 }) => [message, of]),
    [
      ["one", 0],
      ["two", 1],
    ],
  );
});

const stopping: readonly (readonly [string, HandlerFn])[] = [
  ["an exit", (k) => k.response.exit(403)],
  ["an error response", (k) => k.response.error(400)],
  ["an authentication", (k) => k.client.authenticate({ id: "7a1f0000-0000-4000-8000-000000000001" }, null)],
  ["a consumer group", (k) => k.client.setAuthenticatedConsumerGroup({ id: "g" })],
  ["a throw", () => assert.fail("no")],
  ["a rejection", async () => assert.fail("no")],
  ["an exit after a while", (k) => Promise.resolve().then(() => k.response.exit(403))],
];

for (const [what, handler] of stopping) {
  test(`${what} ends the call: the step behind it does not run`, async (t) => {
    let ran = 0;
    const host = await open(t, [handler, () => void ran++]);
    const outcomes = await host.steps({ steps: [step(2)] }, 1);
    assert.deepEqual(stepsOf(outcomes), [0]);
    assert.deepEqual((await host.call({ instance: 2 })).error, null); // had the step run, it would have before
    assert.deepEqual([ran, host.stray], [1, []]);
  });
}

test("an instance that is not here fails its step and ends the call", async (t) => {
  const host = await open(t, [() => {}]);
  const outcomes = await host.steps({ steps: [step(9), step(1)] }, 2);
  assert.deepEqual(
    outcomes.map(({ step: of, error }) => [of, error?.[0] ?? null]),
    [
      [0, null],
      [1, "unknown_instance"],
    ],
  );
});

test("outcomes of finished steps do not wait for a step that does", async (t) => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const host = await open(t, [(k) => k.response.setStatus(201), () => held, (k) => k.response.setStatus(203)]);
  const got: ReadOutcome[] = [];
  const { id, bytes } = host.prepare({ steps: [step(2), step(3)] });
  const all = new Promise<void>((resolve) => {
    const wait = (): void =>
      host.onOutcome(id, (outcome) => {
        got.push(outcome);
        if (got.length === 3) resolve();
        else wait();
      });
    wait();
  });
  host.socket.write(bytes);
  await until(() => got.length === 1, "the first outcome");
  // The read buffer is written over meanwhile: the later steps stand on a copy of the call.
  await Promise.all(Array.from({ length: 50 }, () => host.call({ request: { target: `/${"x".repeat(900)}` } })));
  release();
  await all;
  assert.deepEqual(stepsOf(got), [0, 1, 2]);
  assert.deepEqual(got[2]?.ops, [[20, 203]]);
});

test("asks name their step and go behind the outcomes before it, large bodies too", async (t) => {
  const body = new Uint8Array(700_000).fill(7);
  const host = await open(
    t,
    [
      (k) => k.service.request.setRawBody(body),
      async (k) => k.response.setHeader("X-Var", (await k.nginx.getVar("request_id")) ?? ""),
    ],
    { answer: () => "abc" },
  );
  const outcomes = await host.steps({ steps: [step(2)] }, 2);
  assert.deepEqual(stepsOf(outcomes), [0, 1]);
  assert.deepEqual([host.askedBy, host.askedAfter], [[1], [1]]);
  assert.deepEqual(outcomes[0]?.ops, [[7, body]]);
  assert.equal(headerOf(outcomes[1] as ReadOutcome), "abc");
});

test("a question that a step left unanswered does not disturb the next one", async (t) => {
  const ask = async (k: PDK): Promise<void> =>
    k.response.setHeader("X-Var", (await k.nginx.getVar("request_id")) ?? "");
  const host = await open(t, [(k) => void k.nginx.getVar("host").catch(() => {}), ask], {
    answer: (_fn, [name]) => `${name}`,
  });
  const outcomes = await host.steps({ steps: [step(2)] }, 2);
  assert.equal(headerOf(outcomes[1] as ReadOutcome), "request_id");
});

test("an answer that comes too late, or never, for the question of a step is not the next one's", async () => {
  const said: string[] = [];
  const carrier: Carrier = {
    outcome: (_id, of, { error }) => said.push(`outcome ${of} ${error?.code ?? "done"}`) > 0,
    ask: (_id, of) => said.push(`ask ${of}`),
    log: () => assert.fail("nothing is logged"),
    close: (_code, message) => assert.fail(message),
  };
  const got: unknown[] = [];
  const leave = (k: PDK): void => void k.nginx.getVar("host").catch(() => {});
  const wait = async (k: PDK): Promise<void> => void got.push(await k.nginx.getVar("host"));
  let at = 0;
  const instances = await instancesOf((k) => ([leave, leave, wait][at++ % 3] as HandlerFn)(k, new Uint8Array(), false));
  const lane = new Lane(instances, carrier);
  lane.hello({ ...HELLO, maxBody: 10 });
  const body = encodeCall(facts({ steps: [step(1), step(1)] }));
  const answer = (id: number, of: number, value: string): void => lane.answer(id, of, { error: null, value });
  const runs = ["ask 0", "outcome 0 done", "ask 1", "outcome 1 done", "ask 2"];
  const calls: [late: (id: number) => void, after: (id: number) => void][] = [
    [() => {}, () => {}],
    [(id) => answer(id, 0, "late"), (id) => answer(id, 1, "later")],
    [
      (id) => {
        answer(id, 0, "late");
        answer(id, 1, "late");
      },
      () => {},
    ],
    [
      (id) => {
        lane.chunk(id, Buffer.alloc(11)); // more than max_body
        assert.equal(lane.gathered(id, false, 0), "dropped");
      },
      () => {},
    ],
  ];
  for (const [at, [late, after]] of calls.entries()) {
    const id = 7 + at;
    lane.call(id, new CallView(body, 0, body.length));
    assert.deepEqual(said.splice(0), runs);
    late(id);
    assert.deepEqual(said, []);
    answer(id, 2, `own ${id}`);
    await until(() => said.length > 0, "the last outcome");
    assert.deepEqual(said.splice(0), ["outcome 2 done"]);
    assert.equal(got.pop(), `own ${id}`);
    after(id);
  }
  lane.call(20, new CallView(body, 0, body.length));
  lane.cancel(20);
  answer(20, 0, "late");
  answer(20, 2, "of a cancelled call");
  answer(20, 2, "nobody asked");
  assert.deepEqual(said.splice(0), ["ask 0", "outcome 0 done", "ask 1", "outcome 1 done", "ask 2"]);
  await instances.idle();
});

test("cancel ends the whole call", async (t) => {
  let ran = 0;
  let aborted = false;
  let entered = false;
  const host = await open(t, [
    (k) => {
      entered = true;
      return new Promise<void>((resolve) => {
        k.signal.addEventListener("abort", () => {
          aborted = true;
          resolve();
        });
      });
    },
    () => void ran++,
  ]);
  const { id, bytes } = host.prepare({ steps: [step(2)] });
  host.socket.write(bytes);
  await until(() => entered, "the first step");
  host.cancel(id);
  await until(() => aborted, "the end of the first step");
  await host.call({ instance: 2 });
  assert.deepEqual([ran, host.stray], [1, []]);
});

test("prefetched answers are given without a question, and the outcome says which were not asked for", async (t) => {
  const host = await open(t, [
    async (k) => {
      const body = await k.request.getRawBody();
      const uri = await k.nginx.getVar("uri");
      const again = await k.nginx.getVar("uri");
      k.response.setHeader("X-Got", `${Buffer.from(body)} ${uri} ${again}`);
    },
  ]);
  const prefetched = [
    ahead(12, ["host"], "unused"),
    ahead(12, ["uri"], Buffer.from("/a")),
    ahead(1, [], Buffer.from("bytes")),
    ahead(8, [], null),
  ];
  const outcome = await host.call({ prefetched });
  assert.deepEqual([headerOf(outcome), outcome.unused, host.asks], ["bytes /a /a", 0b1001, 0]);
});

test("an answer that depends on writes is stale behind one, in this step or before; bodies are not", async (t) => {
  const read = async (k: PDK): Promise<void> => {
    const body = await k.request.getRawBody();
    k.response.setHeader("X-Got", `${await k.nginx.getVar("uri")} ${Buffer.from(body)}`);
  };
  const host = await open(
    t,
    [
      async (k) => {
        k.log.warn((await k.nginx.getVar("uri")) ?? "");
        k.ctx.shared.set("a", 1);
        k.log.warn((await k.nginx.getVar("uri")) ?? "");
      },
      read,
    ],
    { answer: () => "from the host" },
  );
  const uri = ahead(12, ["uri"], "ahead");
  const outcomes = await host.steps(
    { prefetched: [uri], steps: [step(2, { prefetched: [uri, ahead(1, [], Buffer.from("body"))] })] },
    2,
  );
  assert.deepEqual(
    host.logs.map(({ message }) => message),
    ["ahead", "from the host"],
  );
  assert.equal(headerOf(outcomes[1] as ReadOutcome), "from the host body");
  assert.deepEqual(
    outcomes.map(({ unused }) => unused),
    [0, 1],
  );
});

test("unused answers are told by failed outcomes, too, and never by those of calls without", async (t) => {
  const host = await open(t, [() => assert.fail("no"), () => {}]);
  const prefetched = [ahead(3, [], "{}")];
  assert.equal((await host.call({ prefetched })).unused, 1);
  assert.equal((await host.call({ instance: 2, prefetched })).unused, 1);
  assert.equal((await host.call({ instance: 2 })).unused, 0);
});

test("what plugins do to the state of one instance stays with it: the cache is asked again", async (t) => {
  const host = await open(
    t,
    [(k) => k.cache.set("k", "mine"), async (k) => k.response.setHeader("X-Got", String(await k.cache.get("k")))],
    { answer: () => "theirs" },
  );
  const outcomes = await host.steps({ steps: [step(2)] }, 2);
  assert.equal(headerOf(outcomes[1] as ReadOutcome), "theirs");
});

test("carrier grpc: steps, their outcomes, questions and log lines, and prefetched answers", async () => {
  const write = (k: PDK): void => {
    k.service.request.setHeader("X-A", "1");
    k.log.warn("one");
  };
  const read = async (k: PDK): Promise<void> => {
    const body = Buffer.from(await k.request.getRawBody());
    k.response.setHeader("X-Got", `${k.request.getHeader("x-a")} ${body} ${await k.nginx.getVar("uri")}`);
    k.log.warn(String(k.ctx.plugin.get("q")));
  };
  const plugins = [write, read].map((handler, i) =>
    definePlugin({ name: `plugin-${i + 1}`, version: "1", instance: everyPhase(handler) }),
  );
  const instances = new Instances(plugins, (message) => assert.fail(message));
  for (const [i, { name }] of plugins.entries()) await instances.configure(i + 1, name, Buffer.from("{}"));
  const sent: DispatchResponse[] = [];
  const stream = Object.assign(new EventEmitter(), { write: (m: DispatchResponse) => sent.push(m) > 0, end: () => {} });
  new GrpcLane(stream as unknown as DispatchStream, instances);
  const send = (message: NonNullable<MessageInitShape<typeof DispatchRequestSchema>["message"]>): boolean =>
    stream.emit("data", create(DispatchRequestSchema, { callId: 7, message }));
  send({ case: "hello", value: { version: 1, features: 3 } });
  const uri = { function: 12, args: [encodeValue("uri")], value: encodeValue("stale") };
  const prefetched = [uri, { function: 1, bytes: Buffer.from("body") }];
  const plugin = [{ key: "q", value: encodeValue("own") }];
  const steps = [{ instance: 2n, timeoutMs: 1000, plugin, prefetched }];
  send({ case: "call", value: { instance: 1n, phase: 2, prefetched: [uri], steps } });
  await until(() => sent.some(({ message }) => message.case === "ask"), "the question");
  send({ case: "answer", value: { value: encodeValue("/fresh"), step: 1 } });
  await until(() => sent.filter(({ message }) => message.case === "outcome").length === 2, "the outcomes");
  const said = sent.map(({ message: { case: kind, value } }) => {
    switch (kind) {
      case "hello":
        return [kind, value.features];
      case "outcome":
        return [kind, value.step, value.unused, value.failed, value.operations.map(({ values }) => textOf(values[0]))];
      case "log":
        return [kind, value.step, textOf(value.message)];
      case "ask":
        return [kind, value.step, value.function];
      default:
        return [kind];
    }
  });
  assert.deepEqual(said, [
    ["hello", 3],
    ["log", 0, "one"],
    ["outcome", 0, 1, false, ["1"]],
    ["ask", 1, 12],
    ["log", 1, "own"],
    ["outcome", 1, 1, false, ["1 body /fresh"]],
  ]);
});
