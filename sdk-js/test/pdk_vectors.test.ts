/** Runs the vectors of proto/vectors/pdk, which every language runs; their README says what the keys mean. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import { MultiMap, PDKError, Query, type Span } from "../src/index.js";
import { isExit, PHASES } from "../src/runtime/call_state.js";
import type { Line } from "../src/runtime/headers.js";
import { decodeValue, Reader } from "../src/runtime/msgpack_read.js";
import { encodeValue, Writer } from "../src/runtime/msgpack_write.js";
import { type Op, type Outcome, writeOutcome } from "../src/runtime/ops.js";
import { decodeText, encodeText } from "../src/runtime/text.js";
import { run } from "./harness.js";
import type { PartialFacts } from "./host_driver.js";

type Json = Record<string, unknown>;

interface VectorCall {
  readonly fn: string;
  readonly args?: readonly unknown[];
  readonly result?: unknown;
  readonly error?: string;
  readonly swallow?: boolean;
}

interface Vector {
  readonly name: string;
  readonly phase: string;
  readonly facts?: Json;
  readonly node?: Json;
  readonly plugin_id?: string;
  readonly together?: boolean;
  readonly calls: readonly VectorCall[];
  readonly late?: readonly VectorCall[];
  readonly asks?: readonly { ask: number; args: unknown[]; value?: unknown; error?: [string, string] }[];
  readonly returns?: unknown;
  readonly body?: unknown;
  readonly ops: readonly unknown[][];
  readonly logs?: readonly (number | [number, unknown])[];
}

const DIRECTORY = new URL("../../../proto/vectors/pdk/", import.meta.url);

function load(file: string): Vector[] {
  return (JSON.parse(readFileSync(new URL(file, DIRECTORY), "utf8")) as { vectors: Vector[] }).vectors;
}

// Values, from and to the way in which vectors spell them.

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function textOf(bytes: Uint8Array): string {
  const buf = Buffer.from(bytes);
  return decodeText(buf, 0, buf.length);
}

function fromSpelling(spelt: unknown): unknown {
  if (Array.isArray(spelt)) return spelt.map(fromSpelling);
  if (!isObject(spelt)) return spelt;
  switch (Object.keys(spelt).join()) {
    case "hex":
      return new Uint8Array(Buffer.from(String(spelt.hex), "hex"));
    case "text":
      return textOf(Buffer.from(String(spelt.text), "hex"));
    case "int":
      return BigInt(String(spelt.int));
    default:
      return Object.fromEntries(Object.entries(spelt).map(([key, item]) => [key, fromSpelling(item)]));
  }
}

/** Text or bytes of a fact, as bytes. */
function raw(spelt: unknown): Uint8Array {
  const value = fromSpelling(spelt);
  return value instanceof Uint8Array ? value : encodeText(String(value));
}

/** Compares what the SDK has with what a vector spells. */
function check(found: unknown, expected: unknown, where: string): void {
  if (Array.isArray(expected) && JSON.stringify(expected).includes("{")) {
    assert(Array.isArray(found), `${where}: no list`);
    assert.equal(found.length, expected.length, where);
    for (const [i, item] of expected.entries()) check(found[i], item, `${where}[${i}]`);
    return;
  }
  if (isObject(expected)) {
    if ("any" in expected) return;
    if ("json" in expected) {
      const text = found instanceof Uint8Array ? Buffer.from(found).toString() : String(found);
      check(JSON.parse(text), expected.json, where);
      return;
    }
    if ("hex" in expected && typeof found === "string") {
      check(new Uint8Array(encodeText(found)), expected, where); // text that travels as bin
      return;
    }
    if ("fields" in expected) {
      assert(isObject(found), `${where}: no map`);
      for (const [key, item] of Object.entries(expected.fields as Json)) check(found[key], item, `${where}.${key}`);
      return;
    }
    if ("truncated" in expected) {
      assert(found instanceof MultiMap || found instanceof Query, where);
      assert.equal(found.truncated, expected.truncated, where);
      if ("size" in expected) assert.equal(found.size, expected.size, where);
      else check([...found], expected.pairs, where);
      return;
    }
  }
  assert.deepEqual(plain(found), plain(fromSpelling(expected)), where);
}

/** Without what deepEqual sees and vectors do not say: prototypes. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === "bigint") return { int: String(value) };
  if (isObject(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
  return value instanceof Uint8Array ? { bytes: Buffer.from(value).toString("hex") } : value;
}

// The call.

function lines(headers: unknown): Line[] {
  return ((headers ?? []) as [string, unknown][]).map(([name, value]) => [name, String(fromSpelling(value))]);
}

function factsOf(vector: Vector): PartialFacts {
  const facts = vector.facts ?? {};
  const request = (facts.request ?? {}) as Json;
  const client = (facts.client ?? {}) as Json;
  const over: Json = {
    phase: PHASES.indexOf(vector.phase as (typeof PHASES)[number]),
    startTime: 1_700_000_000_123,
    last: facts.last ?? false,
    request: {
      ...pick(request, "method", "scheme", "host", "port"),
      ...("http_version" in request && { httpVersion: request.http_version }),
      ...("target" in request && { target: raw(request.target) }),
      ...("path" in request && { path: raw(request.path) }),
      ...("raw_query" in request && { rawQuery: raw(request.raw_query) }),
      headers: lines(request.headers),
    },
    client: {
      ...pick(client, "ip", "port", "trusted"),
      forwardedIp: client.forwarded_ip ?? null,
      forwardedPort: client.forwarded_port ?? null,
    },
  };
  ["route", "service", "consumer"].forEach((kind, slot) => {
    if (kind in facts) over[kind] = slot;
  });
  if ("forwarded" in facts) {
    const { scheme, host, port, path, prefix } = facts.forwarded as Json;
    const given = prefix === null ? null : raw(prefix);
    over.forwarded = { scheme: raw(scheme), host: raw(host), port, path: raw(path), prefix: given };
  }
  if ("credential" in facts) over.credential = encodeValue(fromSpelling(facts.credential));
  if ("captures" in facts) {
    const { unnamed, named } = facts.captures as { unnamed: unknown[]; named: Json };
    over.captures = { unnamed: unnamed.map(raw), named: Object.entries(named).map(([name, v]) => [name, raw(v)]) };
  }
  if ("shared" in facts) {
    over.shared = Object.entries(facts.shared as Json).map(([key, value]) => [key, encodeValue(fromSpelling(value))]);
  }
  if ("response" in facts) {
    const { status, headers, source } = facts.response as Json;
    over.response = { status, headers: lines(headers), source };
  }
  if ("service_response" in facts) {
    const { status, headers } = facts.service_response as Json;
    over.serviceResponse = { status, headers: (headers ?? null) === null ? null : lines(headers) };
  }
  if ("plugin" in facts) {
    over.plugin = Object.entries(facts.plugin as Json).map(([key, value]) => [key, encodeValue(fromSpelling(value))]);
  }
  if ("tls" in facts) {
    const { version, cipher, client_verify, has_certificate } = facts.tls as Json;
    over.tls = { version, cipher, clientVerify: client_verify, hasCertificate: has_certificate };
  }
  if ("trace" in facts) over.trace = facts.trace;
  if ("groups" in facts) over.groups = facts.groups;
  if ("chunk" in facts) over.chunk = raw(facts.chunk);
  if ("request_body" in facts) over.requestBody = raw(facts.request_body);
  if ("response_body" in facts) over.responseBody = raw(facts.response_body);
  return over as PartialFacts;
}

function pick(from: Json, ...keys: string[]): Json {
  return Object.fromEntries(keys.filter((key) => key in from).map((key) => [key, from[key]]));
}

function helloOf(node: Json): Json {
  return {
    trustedCidrs: node.trusted_cidrs ?? [],
    logLevel: node.log_level ?? 0,
    maxBody: node.max_body ?? 1 << 20,
    maxShared: node.max_shared ?? 64 << 10,
    clusterId: node.cluster_id ?? null,
    telemetryLogs: node.telemetry_logs ?? true,
    gatewayVersion: node.gateway_version ?? "0.2.0",
  };
}

/** The method that a vector names: of a namespace, or of a span, whose number is its first argument. */
function methodOf(kong: PDK, spans: readonly Span[], { fn, args = [] }: VectorCall): [object, string, unknown[]] {
  const path = fn.split(".").map((part) => part.replace(/_(.)/g, (_, c: string) => c.toUpperCase()));
  const name = path.pop() as string;
  const given = args.map(fromSpelling);
  if (path[0] === "span") return [spans[Number(given[0]) - 1] as Span, name, given.slice(1)];
  return [path.reduce((at, part) => at[part] as Json, kong as unknown as Json), name, given];
}

/** One call of a function, with what it must answer or throw. */
async function make(kong: PDK, spans: Span[], call: VectorCall): Promise<void> {
  const [object, name, args] = methodOf(kong, spans, call);
  const where = `${call.fn}(${JSON.stringify(call.args ?? [])})`;
  let result: unknown;
  try {
    result = await ((object as Json)[name] as (...args: unknown[]) => unknown).apply(object, args);
  } catch (thrown) {
    if (isExit(thrown)) {
      assert.equal(call.error, undefined, where);
      if (call.swallow) return;
      throw thrown;
    }
    if (!(thrown instanceof PDKError)) throw thrown;
    assert.equal(thrown.code, call.error, `${where}: ${thrown.message}`);
    assert.equal(thrown.function, call.fn);
    return;
  }
  if (call.fn === "tracing.start_span") spans.push(result as Span);
  assert.equal(call.error, undefined, `${where} should be refused`);
  if ("result" in call) check(result, call.result, where);
}

const BODIES: Readonly<Record<number, number>> = { 7: 1, 24: 1, 25: 2 };

/** An operation that holds free values, which may be nested as deep as a whole frame; null for others. */
function freeValues(op: Op): unknown[] | null {
  const value = (bytes: Uint8Array | null): unknown => (bytes === null ? null : decodeValue(bytes));
  switch (op.kind) {
    case "authenticate":
      return [op.code, value(op.consumer), value(op.credential)];
    case "shared":
      return [op.code, op.key, value(op.value)];
    case "serialize":
      return [op.code, op.key, value(op.value), op.mode];
    case "generic":
      return [op.code, value(op.args)];
    default:
      return null;
  }
}

/** The operations of an outcome as they travel, with text where bins stand for text. */
function operationsOf(outcome: Outcome): { ops: unknown[][]; body: unknown } {
  const w = new Writer();
  writeOutcome(w, outcome);
  const reader = new Reader(w.take());
  reader.array();
  reader.skip();
  reader.skip();
  const ops = Array.from({ length: reader.array() }, () => reader.raw()).map((op, i) =>
    freeValues(outcome.ops[i] as Op) === null ? (decodeValue(op) as unknown[]) : [],
  );
  const body = reader.value();
  const text = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map(text);
    return item instanceof Uint8Array ? textOf(item) : item;
  };
  const asText = (op: unknown[]): unknown[] =>
    op.map((item, at) => (BODIES[op[0] as number] === at ? item : text(item)));
  return { ops: ops.map((op, i) => freeValues(outcome.ops[i] as Op) ?? asText(op)), body };
}

async function runVector(vector: Vector): Promise<void> {
  const facts = vector.facts ?? {};
  const entities = ["route", "service", "consumer"].flatMap((kind, slot) =>
    kind in facts ? [[slot, encodeValue(fromSpelling(facts[kind]))] as const] : [],
  );
  const expectedAsks = [...(vector.asks ?? [])];
  let handle: PDK | null = null;
  let fault: unknown = null;
  const spans: Span[] = [];
  const { outcome, logs, asks } = await run(
    async (kong) => {
      handle = kong;
      try {
        if (vector.together) await Promise.all(vector.calls.map((call) => make(kong, spans, call)));
        else for (const call of vector.calls) await make(kong, spans, call);
      } catch (thrown) {
        if (isExit(thrown)) throw thrown;
        fault = thrown; // else the engine would make a failed outcome of it
      }
      return fromSpelling(vector.returns);
    },
    factsOf(vector),
    {
      hello: helloOf(vector.node ?? {}),
      entities,
      ...(vector.plugin_id !== undefined && { recordId: vector.plugin_id }),
      answer: () => {
        const { error, value } = expectedAsks.shift() ?? { error: ["host_error", "not expected"] };
        return error === undefined
          ? { value: fromSpelling(value) }
          : { error: { code: error[0] as string, message: error[1] as string, detail: "" } };
      },
    },
  );
  if (fault !== null) throw fault;
  assert.equal(outcome.error, null);
  for (const call of vector.late ?? []) await make(handle as unknown as PDK, spans, call);
  const wanted = (vector.asks ?? []).map(({ ask, args }) => [ask, ...args]);
  check(asks, wanted, "questions");
  const { ops, body } = operationsOf(outcome);
  assert.equal(ops.length, vector.ops.length, JSON.stringify(plain(ops)));
  vector.ops.forEach((expected, i) => {
    const found = ops[i] as unknown[];
    assert.equal(found.length, expected.length, `operation ${i}: ${JSON.stringify(plain(found))}`);
    for (const [at, item] of expected.entries()) check(found[at], item, `operation ${i} at ${at}`);
  });
  check(body, vector.body ?? null, "body");
  const expectedLogs = vector.logs ?? [];
  assert.equal(logs.length, expectedLogs.length, JSON.stringify(logs));
  expectedLogs.forEach((expected, i) => {
    const { level, message } = logs[i] as { level: number; message: string };
    if (Array.isArray(expected)) check([level, message], expected, "log");
    else assert.equal(level, expected);
  });
}

let ran = 0;
for (const file of readdirSync(DIRECTORY).filter((name) => name.endsWith(".json"))) {
  for (const vector of load(file)) {
    test(`vector ${file}: ${vector.name}`, async () => {
      await runVector(vector);
      ran++;
    });
  }
}

test("the vectors are there", () => {
  console.log(`${ran} vectors`);
  assert(ran >= 200);
});
