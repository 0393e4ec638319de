/** What a handler reports: spans, lines that show values, log entries. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import { Span } from "../src/index.js";
import { decodeValue } from "../src/runtime/msgpack_read.js";
import type { Op } from "../src/runtime/ops.js";
import { TOO_MANY_SPANS } from "../src/runtime/trace.js";
import { read, run } from "./harness.js";

/** The spans of an outcome. */
function spans(ops: readonly Op[]): Record<string, unknown>[] {
  return ops.flatMap((op) =>
    op.kind === "generic" && op.code === 90 ? (decodeValue(op.args) as Record<string, unknown>[]) : [],
  );
}

test("attributes without a form on the wire become text, and never fail a handler", async () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const deep = Array.from({ length: 70 }).reduce<unknown>((inner) => [inner], 1);
  const { outcome, ops } = await run((k) => {
    const span = k.tracing.startSpan("s\ud800", { nil: null, none: undefined, f: () => 1, big: 2n ** 70n });
    span.setAttribute("circle", circle);
    span.setAttribute("deep", deep);
    span.setAttribute("\udfff", "lone \ud800 half");
    span.addEvent("e", { at: new Date(0), ok: [1] });
    span.recordError(new TypeError("no\udfff"));
  });
  assert.equal(outcome.error, null);
  const [span] = spans(ops);
  assert.deepEqual([span?.name, span?.status, span?.message], ["s\ufffd", "error", "no\ufffd"]);
  const { f, circle: written, deep: nested, ...rest } = (span?.attributes ?? {}) as Record<string, unknown>;
  assert.deepEqual(rest, { nil: null, big: String(2n ** 70n), "\ufffd": "lone \ufffd half" });
  for (const text of [f, written, nested]) assert.equal(typeof text, "string");
  const [[name, time, attributes] = []] = (span?.events ?? []) as [string?, number?, unknown?][];
  assert.deepEqual([name, attributes], ["e", { at: new Date(0).toString(), ok: [1] }]);
  assert.ok(Number(time) >= Number(span?.start) && Number(time) <= Number(span?.end));
});

test("a finished span ignores what is done to it", () => {
  const span = new Span("s");
  span.finish();
  const { end } = span;
  span.setAttribute("a", 1);
  span.setStatus("ok");
  span.recordError("x");
  span.finish();
  assert.deepEqual([span.attributes, span.events, span.status, span.end], [{}, [], "unset", end]);
});

test("a failed handler reports no spans, and a span after the handler belongs to nobody", async () => {
  let late: PDK | undefined;
  const { outcome, ops } = await run((k) => {
    late = k;
    k.tracing.startSpan("work");
    throw new Error("no");
  });
  assert.deepEqual([outcome.error?.code, ops], ["handler_error", []]);
  assert.ok(late?.tracing.startSpan("late") instanceof Span);
  assert.throws(() => late?.tracing.activeSpan(), { code: "wrong_phase" });
  assert.throws(() => late?.tracing.startSpan(5 as never), { code: "bad_argument" });
});

test("behind 1024 spans a handler gets spans that record nothing, and one line says so", async () => {
  for (const [logLevel, lines] of [
    [0, [{ call: 7, level: 3, message: TOO_MANY_SPANS }]],
    [4, []],
  ] as const) {
    const { outcome, ops, logs } = await run(
      (k) => {
        for (let i = 0; i < 1024; i++) k.tracing.startSpan("s");
        const active = k.tracing.activeSpan();
        for (let i = 0; i < 2; i++) {
          const span = k.tracing.startSpan("more", { a: 1 });
          assert.deepEqual([span instanceof Span, k.tracing.activeSpan() === active], [true, true]);
          span.finish();
        }
      },
      {},
      { hello: { logLevel } },
    );
    assert.equal(outcome.error, null);
    assert.equal(spans(ops).length, 1024);
    assert.deepEqual(logs, lines);
  }
});

test("spans count among the changes that the host takes", async () => {
  const { outcome } = await run((k) => {
    for (let i = 0; i < 8192; i++) k.service.request.enableBuffering();
    k.tracing.startSpan("s");
  });
  assert.equal(outcome.error?.code, "too_large");
  const exited = await run((k) => {
    for (let i = 0; i < 8192; i++) k.service.request.enableBuffering();
    k.response.exit(200);
  });
  assert.deepEqual([exited.outcome.error?.code, exited.ops], ["too_large", []]);
});

test("log.inspect shows what has no JSON form as the log functions do", async () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  const { outcome, logs } = await run((k) => {
    k.log.inspect(undefined, Uint8Array.of(0x61, 0xff), 2n ** 60n, { "10": 1, "9": [] });
    k.log.inspect(circle);
    k.log.inspect(Number.NaN, { n: Number.POSITIVE_INFINITY });
  });
  assert.equal(outcome.error, null);
  const messages = logs.map(({ message }) => message);
  assert.equal(messages[0], 'nil\na\udcff\n1152921504606846976\n{\n  "10": 1,\n  "9": []\n}');
  assert.equal(typeof messages[1], "string");
  assert.match(messages[2] ?? "", /^NaN\n/);
});

test("integers of a log entry keep their digits when a handler has set values", async () => {
  const entry = '{"id":9007199254740993,"list":[18446744073709551615],"text":"a\\u2028b"}';
  const serialized = await read(
    (k) => {
      k.log.setSerializeValue("mine", 2n ** 62n);
      return k.log.serialize();
    },
    { phase: 6 },
    { answer: () => ({ value: entry }) },
  );
  assert.equal(
    serialized,
    '{"id":9007199254740993,"list":[18446744073709551615],"text":"a\u2028b","mine":4611686018427387904}',
  );
});

test("numbers that are not finite, and bytes, are text in the log entry", async () => {
  const values = [Number.NaN, Number.POSITIVE_INFINITY, 0.5, { low: Number.NEGATIVE_INFINITY, raw: Buffer.from("hi") }];
  const expected = ["NaN", "Infinity", 0.5, { low: "-Infinity", raw: "hi" }];
  const serialized = await read(
    (k) => {
      k.log.setSerializeValue("odd", values);
      k.log.setSerializeValue("deep.one", Number.NaN);
      return k.log.serialize();
    },
    { phase: 6 },
    { answer: () => ({ value: "{}" }) },
  );
  assert.deepEqual(JSON.parse(serialized), { odd: expected, deep: { one: "NaN" } });
});

test("a null is no argument where it is not the documented default", async () => {
  const none = null as never;
  const refused: ((k: PDK) => unknown)[] = [
    (k) => k.request.getHeaders(none),
    (k) => k.request.getQuery(none),
    (k) => k.client.getProtocol(none),
    (k) => k.client.setAuthenticatedConsumerGroups([], none),
    (k) => k.client.setAuthenticatedConsumerGroups(none),
    (k) => k.client.loadConsumer("bob", none),
    (k) => k.node.getMemoryStats(none),
    (k) => k.node.getMemoryStats("b", none),
    (k) => k.cache.set("k", 1, none),
    (k) => k.log.setSerializeValue("k", 1, none),
    (k) => k.log.deprecation("m", none),
    (k) => k.telemetry.log("p", none, "t", "m"),
  ];
  for (const call of refused) {
    const code = await read(async (k) => {
      try {
        await call(k);
        return "taken";
      } catch (thrown) {
        return (thrown as { code: string }).code;
      }
    });
    assert.equal(code, "bad_argument", String(call));
  }
});
