import assert from "node:assert/strict";
import { test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import type { Line } from "../src/runtime/headers.js";
import type { Op } from "../src/runtime/ops.js";
import { read, run } from "./harness.js";
import type { PartialFacts } from "./host_driver.js";

const RESPONSE = 3;
const HEADER_FILTER = 4;

function answered(status: number, headers: Line[], over: PartialFacts = {}): PartialFacts {
  return {
    phase: RESPONSE,
    response: { status, headers, source: 0 },
    serviceResponse: { status, headers: null },
    ...over,
  };
}

function exitOf(ops: readonly Op[]): Extract<Op, { kind: "exit" }> {
  const op = ops.at(-1);
  assert.ok(op?.kind === "exit");
  return op;
}

const text = (bytes: Uint8Array | null): string | null => (bytes === null ? null : Buffer.from(bytes).toString());

test("reads of the response see writes, those of the service's response do not", async () => {
  const { ops, outcome } = await run(
    (k) => {
      assert.deepEqual([k.response.getStatus(), k.response.getSource()], [200, "service"]);
      k.response.setStatus(418);
      assert.deepEqual([k.response.getStatus(), k.service.response.getStatus()], [418, 200]);
      k.response.setHeader("X_R", "new");
      assert.equal(k.response.getHeader("x-r"), "new");
      assert.equal(k.service.response.getHeader("X_R"), "old");
      k.response.addHeader("cache-control", ["a", "b"]);
      assert.deepEqual(k.response.getHeaders().values("cache-control"), ["a", "b"]);
      k.response.clearHeader("server");
      assert.equal(k.response.getHeader("server"), null);
      assert.equal(k.service.response.getHeaders().get("Server"), "up");
    },
    answered(200, [
      ["x-r", "old"],
      ["server", "up"],
    ]),
  );
  assert.equal(outcome.error, null);
  assert.deepEqual(
    ops.map((op) => (op.kind === "header" ? [op.code, op.name] : op.kind)),
    ["status", [21, "X-R"], [22, "cache-control"], "text"],
  );
});

test("the service's own headers and status", async () => {
  const over = answered(201, [["a", "changed"]], {
    serviceResponse: {
      status: 200,
      headers: [
        ["a", "sent"],
        ["b", ""],
      ],
    },
  });
  const seen = await read(
    ({ response, service: { response: s } }) => [
      s.getStatus(),
      s.getHeader("A"),
      s.getHeader("b"),
      response.getHeader("a"),
      response.getHeader("b"),
    ],
    over,
  );
  assert.deepEqual(seen, [200, "sent", "", "changed", null]);
  const none: PartialFacts = { phase: 6, response: { status: 403, headers: [], source: 1 } };
  assert.deepEqual(
    await read(
      (k) => [
        k.service.response.getStatus(),
        k.service.response.getHeader("a"),
        k.service.response.getHeaders().size,
        k.response.getSource(),
      ],
      none,
    ),
    [null, null, 0, "exit"],
  );
});

test("header limits", async () => {
  const over = answered(200, [
    ["a", "1"],
    ["b", "2"],
    ["c", "3"],
  ]);
  const map = await read((k) => k.response.getHeaders(1), over);
  assert.deepEqual([map.size, map.truncated, [...map]], [1, true, [["a", "1"]]]);
  await assert.rejects(
    read((k) => k.service.response.getHeaders(0), over),
    { code: "bad_argument" },
  );
});

test("statuses outside 100 to 599 are refused", async () => {
  for (const bad of [99, 600, 200.5, "200", null]) {
    const { outcome } = await run((k) => k.response.setStatus(bad as number), answered(200, []));
    assert.equal(outcome.error?.code, "bad_argument");
  }
});

test("Transfer-Encoding is ignored with a warning", async () => {
  const { ops, logs } = await run((k) => {
    k.response.setHeader("transfer_encoding", "chunked");
    k.response.addHeader("Transfer-Encoding", "x");
    k.response.setHeaders({ "Transfer-Encoding": "x", "X-A": "1" });
  });
  assert.deepEqual(
    ops.map((op) => op.kind === "header" && op.name),
    ["X-A"],
  );
  assert.deepEqual(
    logs.map(({ level }) => level),
    [3, 3, 3],
  );
  assert.match(logs[0]?.message ?? "", /response\.set_header: Transfer-Encoding is ignored/);
});

test("the body of the upstream is asked for once, and set_raw_body does not change it", async () => {
  const big = new Uint8Array(100_000).fill(7);
  const { ops, asks } = await run(
    async (k) => {
      assert.deepEqual(await k.service.response.getRawBody(), big);
      k.response.setRawBody(Uint8Array.of(1));
      assert.deepEqual(await k.service.response.getRawBody(), big);
    },
    answered(200, []),
    { answer: () => ({ value: big }) },
  );
  assert.deepEqual([asks, ops.length], [[[2]], 1]);
});

test("exit: bodies and headers", async () => {
  const exit = async (...args: unknown[]): Promise<Extract<Op, { kind: "exit" }>> => {
    const { ops, outcome } = await run((k) => (k.response.exit as (...a: unknown[]) => never)(...args));
    assert.equal(outcome.error, null, JSON.stringify(outcome.error));
    return exitOf(ops);
  };
  assert.deepEqual((await exit(403)).body, null);
  assert.deepEqual([text((await exit(200, "hi")).body), (await exit(200, "hi")).headers], ["hi", []]);
  const json = await exit(200, { a: 1 });
  assert.deepEqual([text(json.body), json.headers], ['{"a":1}', [["Content-Type", "application/json; charset=utf-8"]]]);
  assert.equal(text((await exit(200, [1, null])).body), "[1,null]");
  assert.deepEqual((await exit(200, { a: 1 }, { "Content-Type": "x/y" })).headers, [["Content-Type", "x/y"]]);
  assert.deepEqual((await exit(404, null, { X_A: ["b", "c"] })).headers, [
    ["X-A", "b"],
    ["X-A", "c"],
  ]);
  assert.deepEqual(
    [
      ...((
        await exit(
          200,
          Uint8Array.from({ length: 256 }, (_, i) => i),
        )
      ).body ?? []),
    ].length,
    256,
  );
  assert.deepEqual((await exit(200, "", { "Transfer-Encoding": "x" })).headers, []);
});

test("exit: wrong arguments fail the handler and do not exit", async () => {
  for (const args of [
    [99],
    ["200"],
    [200, 5],
    [200, true],
    [200, "", "x"],
    [200, "", { X: [1] }],
    [200, { a: Number.NaN }],
    [200, "\ud800"],
  ]) {
    const { outcome, ops } = await run((k) => (k.response.exit as (...a: unknown[]) => never)(...args));
    assert.deepEqual(
      [outcome.error?.code, ops],
      ["bad_argument", []],
      JSON.stringify(args, (_k, v) => String(v)),
    );
  }
});

test("lesson 23: what was written before an exit stays, what comes after it does not exist", async () => {
  const { ops } = await run((k) => {
    k.response.setHeader("X-P", "1");
    const inner = (): void => {
      try {
        k.response.exit(200, "", { "X-Q": "2" });
      } catch (thrown) {
        assert.equal(thrown instanceof Error, false);
        // swallowed
      }
    };
    inner();
    assert.throws(() => k.ctx.shared.set("after", true), { code: "wrong_phase", message: /after response\.exit/ });
    assert.throws(() => k.request.getHeader("x"), { code: "wrong_phase" });
  });
  assert.deepEqual(
    ops.map((op) => op.kind),
    ["header", "exit"],
  );
});

test("error: status, message and headers", async () => {
  const { ops } = await run((k) => k.response.error(503, "m", { "Content-Type": "application/xml" }));
  assert.deepEqual(ops, [
    { kind: "error", code: 26, status: 503, message: "m", headers: [["Content-Type", "application/xml"]] },
  ]);
  const { ops: plain } = await run((k) => k.response.error(419));
  assert.deepEqual(plain, [{ kind: "error", code: 26, status: 419, message: null, headers: [] }]);
  for (const bad of [200, 600]) {
    assert.equal((await run((k) => k.response.error(bad))).outcome.error?.code, "bad_argument");
  }
});

test("phases: each call outside of its phases names where it is allowed", async () => {
  const reads: [string, (k: PDK) => unknown][] = [
    ["response.get_status", (k) => k.response.getStatus()],
    ["response.get_source", (k) => k.response.getSource()],
    ["service.response.get_header", (k) => k.service.response.getHeader("a")],
  ];
  for (const [name, call] of reads) {
    const { outcome } = await run((k) => void call(k));
    assert.equal(outcome.error?.code, "wrong_phase");
    assert.equal(
      outcome.error?.message,
      `wrong_phase: ${name}: called in access; allowed in response, header_filter, body_filter, log`,
    );
  }
  const late: PartialFacts = { ...answered(200, []), phase: 6 };
  assert.equal((await run((k) => k.response.setHeader("a", "b"), late)).outcome.error?.code, "wrong_phase");
  assert.equal(
    (await run((k) => k.response.setHeader("a", "b"), { ...late, phase: 5 })).outcome.error?.code,
    "wrong_phase",
  );
  assert.equal(
    (await run((k) => k.response.setHeader("a", "b"), { ...late, phase: HEADER_FILTER })).outcome.error,
    null,
  );
  assert.equal(
    (await run((k) => k.service.request.setHeader("a", "b"), answered(200, []))).outcome.error?.code,
    "wrong_phase",
  );
  assert.equal((await run((k) => k.service.request.setPath("/"), { phase: 1 })).outcome.error?.code, "wrong_phase");
  assert.equal((await run((k) => void k.router.getRoute(), { phase: 1 })).outcome.error?.code, "wrong_phase");
  await assert.rejects(
    read((k) => k.request.getRawBody(), late),
    { code: "wrong_phase" },
  );
});

test("body_filter: unchanged, replaced, dropped, wrong", async () => {
  const filter = async (
    handler: (chunk: Uint8Array, last: boolean) => unknown,
  ): Promise<[string | null, string | undefined]> => {
    const { outcome } = await run((_k, chunk, last) => handler(chunk, last), {
      phase: 5,
      chunk: Buffer.from("piece"),
      last: true,
    });
    return [text(outcome.body), outcome.error?.code];
  };
  assert.deepEqual(await filter(() => null), [null, undefined]);
  assert.deepEqual(await filter(() => undefined), [null, undefined]);
  assert.deepEqual(await filter((chunk, last) => Buffer.concat([chunk, Buffer.from(String(last))])), [
    "piecetrue",
    undefined,
  ]);
  assert.deepEqual(await filter(async () => "text"), ["text", undefined]);
  assert.deepEqual(await filter(() => new Uint8Array(0)), ["", undefined]);
  assert.deepEqual(await filter(() => 5), [null, "handler_error"]);
});
