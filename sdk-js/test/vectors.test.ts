import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { ENTITY_SLOTS, FrameReader, FrameType } from "../src/runtime/frame.js";
import type { Line } from "../src/runtime/headers.js";
import { Instances } from "../src/runtime/instances.js";
import { type Carrier, Lane, readAnswer, readHello } from "../src/runtime/lane.js";
import { BadFrame, placeChunks, Reader } from "../src/runtime/msgpack_read.js";
import { encodeValue, Writer } from "../src/runtime/msgpack_write.js";
import { type Op, type Outcome, writeOutcome } from "../src/runtime/ops.js";
import { Prefetched } from "../src/runtime/prefetched.js";
import { encodeText } from "../src/runtime/text.js";
import { CallView, Field, RequestField } from "../src/runtime/view.js";

interface Vector {
  readonly name: string;
  readonly from: "host" | "server";
  readonly type: string;
  readonly call: number;
  readonly hex: string;
  readonly body: unknown;
  readonly means?: string;
}

function vectors(file: string): Vector[] {
  const path = new URL(`../../../proto/vectors/wire/${file}.json`, import.meta.url);
  return (JSON.parse(readFileSync(path, "utf8")) as { vectors: Vector[] }).vectors;
}

interface Frames {
  readonly type: number;
  readonly body: Buffer;
  /** The bodies of the frames ahead, by type. */
  readonly entities: Buffer[];
  readonly chunks: Buffer;
}

/** What travels in a vector. */
function framesOf(hex: string): Frames {
  const all: { type: number; body: Buffer }[] = [];
  new FrameReader((type, _id, buf, start, end) => all.push({ type, body: buf.subarray(start, end) })).push(
    Buffer.from(hex, "hex"),
  );
  const last = all.at(-1);
  if (last === undefined) throw new BadFrame("half a frame");
  const ahead = all.slice(0, -1);
  return {
    ...last,
    entities: ahead.filter(({ type }) => type === FrameType.entity).map(({ body }) => body),
    chunks: Buffer.concat(ahead.filter(({ type }) => type === FrameType.chunk).map(({ body }) => body)),
  };
}

/** The tree of a body, as the vectors spell it. */
function tree(reader: Reader, buf: Buffer): unknown {
  const b = buf[reader.pos] as number;
  if ((b >= 0x90 && b < 0xa0) || b === 0xdc || b === 0xdd) {
    return Array.from({ length: reader.array() }, () => tree(reader, buf));
  }
  if ((b >= 0x80 && b < 0x90) || b === 0xde || b === 0xdf) {
    return Object.fromEntries(Array.from({ length: reader.map() }, () => [reader.text(), tree(reader, buf)]));
  }
  if (b === 0xd7) {
    const raw = reader.raw();
    return { ext: raw[1], hex: raw.subarray(2).toString("hex") };
  }
  const value = reader.value();
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString("hex") };
  if (typeof value === "string" && !value.isWellFormed()) return { hex: encodeText(value).toString("hex") };
  return typeof value === "bigint" ? Number(value) : value;
}

function treeOf(body: Buffer): unknown {
  return tree(new Reader(body), body);
}

const NOBODY: Carrier = { outcome: () => true, ask() {}, log() {}, close() {} };

/** Reads everything that a frame of the host holds. */
function readHostFrame({ type, body, entities, chunks }: Frames): unknown {
  const places = chunks.length > 0 ? placeChunks(body, 0, body.length, chunks) : null;
  const lane = new Lane(new Instances([], () => {}), NOBODY);
  const placed = (document: Buffer): void => {
    const reader = new Reader(document);
    reader.array();
    lane.entity(reader.uint(), reader.raw());
  };
  for (const entity of entities) placed(entity);
  switch (type) {
    case FrameType.hello:
      return readHello(new Reader(body));
    case FrameType.answer:
      return readAnswer(new Reader(body, 0, body.length, places));
    case FrameType.entity:
      placed(body);
      return null;
    case FrameType.call: {
      const view = new CallView(body, 0, body.length, places);
      return callTree(view, places);
    }
    default:
      return null;
  }
}

function callTree(view: CallView, places: ReadonlyMap<number, Buffer> | null): Record<string, unknown> {
  const seen: Record<string, unknown> = { instance: view.instance, phase: view.phase };
  for (const [name, field] of Object.entries(Field)) {
    const reader = view.reader(field);
    if (name === "instance" || name === "phase") continue;
    seen[name] = reader === null ? null : reader.value();
  }
  seen.requestPort = view.item(Field.request, RequestField.port)?.uint() ?? null;
  view.item(Field.tls, 0)?.text();
  view.reader(Field.plugin)?.map();
  view.reader(Field.groups)?.array();
  view.item(Field.trace, 0)?.text();
  const later = Array.from({ length: view.steps - 1 }, (_, i) => view.step(i + 1));
  seen.prefetched = [view, ...later].map((step) => (step.prefetches ? new Prefetched(step).unused() : 0));
  for (const step of later) step.reader(Field.plugin)?.value();
  seen.clientPort = view.item(Field.client, 1)?.uint() ?? null;
  seen.chunked = places === null ? 0 : [...places.values()].reduce((n, bytes) => n + bytes.length, 0);
  return seen;
}

for (const file of ["lane", "call", "ask", "steps"]) {
  for (const vector of vectors(file)) {
    if (vector.type === "greeting") continue;
    test(`${file}: ${vector.name} has the tree of its body`, () => {
      const frames = framesOf(vector.hex);
      assert.equal(frames.type, FrameType[vector.type as keyof typeof FrameType]);
      if (frames.body.length > 0) assert.deepEqual(treeOf(frames.body), vector.body);
      if (vector.from === "host") assert.doesNotThrow(() => readHostFrame(frames));
    });
  }
}

for (const vector of vectors("tolerant")) {
  if (vector.from !== "host") continue;
  test(`tolerant: ${vector.name}`, () => {
    const means = readHostFrame(framesOf(vector.means as string));
    const got = readHostFrame(framesOf(vector.hex));
    if (vector.type === "call") {
      const view = got as Record<string, unknown>;
      assert.deepEqual([view.instance, view.phase], [(means as typeof view).instance, (means as typeof view).phase]);
    } else {
      assert.deepEqual(got, means);
    }
  });
}

test("a server refuses the bad frames of a host that can be told by their form", () => {
  const lazily = ["slot that was never set"]; // when a handler asks for the entity: see the tests of the lane
  for (const vector of vectors("bad")) {
    if (vector.from !== "host" || lazily.includes(vector.name)) continue;
    assert.throws(() => readHostFrame(framesOf(vector.hex)), BadFrame, vector.name);
  }
});

/** The operations of a vector's tree, as a handler would have recorded them. */
function opOf(item: unknown[]): Op {
  const [code, ...args] = item as [number, ...unknown[]];
  const bytes = (v: unknown): Buffer => Buffer.from((v as { hex: string }).hex, "hex");
  const str = (v: unknown): string => (typeof v === "string" ? v : new Reader(encodeValue(bytes(v))).text());
  const lines = (v: unknown): Line[] => {
    const flat = v as unknown[];
    return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, str(flat[2 * i + 1])]);
  };
  const plain = (v: unknown): unknown => {
    if (Array.isArray(v)) return v.map(plain);
    if (typeof v !== "object" || v === null) return v === 2 ** 63 ? 2n ** 63n : v;
    return "hex" in v ? bytes(v) : Object.fromEntries(Object.entries(v).map(([k, item]) => [k, plain(item)]));
  };
  const entity = (v: unknown): Buffer | null => (v === null ? null : encodeValue(v));
  switch (code) {
    case 1:
    case 2:
    case 21:
    case 22:
      return { kind: "header", code, name: args[0] as string, values: (args[1] as unknown[]).map(str) };
    case 3:
    case 4:
    case 9:
    case 23:
      return { kind: "text", code, text: args[0] as string };
    case 5:
    case 6:
      return { kind: "bytesText", code, text: str(args[0]) };
    case 7:
    case 24:
      return { kind: "bytes", code, bytes: bytes(args[0]) };
    case 8:
      return { kind: "flag", code };
    case 20:
      return { kind: "status", code, status: args[0] as number };
    case 25:
      return {
        kind: "exit",
        code,
        status: args[0] as number,
        body: args[1] === null ? null : bytes(args[1]),
        headers: lines(args[2]),
      };
    case 26:
      return {
        kind: "error",
        code,
        status: args[0] as number,
        message: args[1] === null ? null : str(args[1]),
        headers: lines(args[2]),
      };
    case 40:
      return { kind: "authenticate", code, consumer: entity(args[0]), credential: entity(args[1]) };
    case 50:
    case 51:
      return { kind: "shared", code, key: args[0] as string, value: encodeValue(plain(args[1])) };
    case 60:
      return {
        kind: "serialize",
        code,
        key: args[0] as string,
        value: encodeValue(plain(args[1])),
        mode: args[2] as string,
      };
    default:
      if (code !== 41 && code !== 42 && code < 70) throw new Error(`operation ${code} is unknown`);
      return { kind: "generic", code, args: encodeValue(plain(args[0])) };
  }
}

for (const vector of [...vectors("outcome"), ...vectors("steps")]) {
  if (vector.type !== "outcome" || vector.name.includes("large bod")) continue; // in chunks of another size: see the tests of the lane
  test(`outcome: ${vector.name} is written with the tree of its body`, () => {
    const [, error, ops, body, unused = 0] = vector.body as [
      number,
      [string, string, string] | null,
      unknown[][],
      { hex: string } | null,
      number?,
    ];
    const outcome: Outcome = {
      error: error && { code: error[0], message: error[1], detail: error[2] },
      ops: ops.map(opOf),
      body: body && Buffer.from(body.hex, "hex"),
      unused,
    };
    const w = new Writer();
    writeOutcome(w, outcome);
    assert.deepEqual(treeOf(w.take()), vector.body);
  });
}

test("the number of entity slots is that of the wire", () => {
  assert.equal(ENTITY_SLOTS, 4096);
});
