import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { FrameReader, MAX_FRAME } from "../src/runtime/frame.js";
import { BadFrame } from "../src/runtime/msgpack_read.js";
import { frame } from "./host_driver.js";

type Got = [type: number, id: number, body: string];

function reader(got: Got[]): FrameReader {
  return new FrameReader((type, id, buf, start, end) => got.push([type, id, buf.subarray(start, end).toString("hex")]));
}

const frames = fc.array(fc.tuple(fc.integer({ min: 1, max: 10 }), fc.nat(), fc.uint8Array({ maxLength: 90 })), {
  maxLength: 12,
});

test("lesson 12: frames are the same however the bytes are cut", () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1 }), (list, cuts) => {
      const bytes = Buffer.concat(list.map(([type, id, body]) => frame(type, id, body)));
      const got: Got[] = [];
      const r = reader(got);
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const n = cuts[i % cuts.length] as number;
        r.push(bytes.subarray(at, at + n));
        at += n;
      }
      assert.deepEqual(
        got,
        list.map(([type, id, body]) => [type, id, Buffer.from(body).toString("hex")]),
      );
    }),
    { numRuns: 500 },
  );
});

test("one byte at a time, and all in one piece", () => {
  const bytes = Buffer.concat([
    frame(2, 1, Buffer.from("abc")),
    frame(7, 2, Buffer.alloc(0)),
    frame(2, 3, Buffer.alloc(70_000, 1)),
  ]);
  for (const size of [1, bytes.length]) {
    const got: Got[] = [];
    const r = reader(got);
    for (let at = 0; at < bytes.length; at += size) r.push(bytes.subarray(at, at + size));
    assert.deepEqual(
      got.map(([type, id, body]) => [type, id, body.length / 2]),
      [
        [2, 1, 3],
        [7, 2, 0],
        [2, 3, 70_000],
      ],
    );
  }
});

test("what the beginning of a frame took is used for the next one, but not that of a long frame", () => {
  const seen: ArrayBufferLike[] = [];
  const r = new FrameReader((_, __, buf) => seen.push(buf.buffer));
  for (const length of [32 << 10, 32 << 10, 100, 1 << 20, 32 << 10]) {
    const bytes = frame(6, 1, Buffer.alloc(length));
    r.push(bytes.subarray(0, 20));
    r.push(bytes.subarray(20));
  }
  assert.equal(seen[1], seen[0]);
  assert.equal(seen[2], seen[0]);
  assert.notEqual(seen[4], seen[3]);
});

test("a frame over the limit is refused as soon as its header is there", () => {
  const header = Buffer.alloc(16);
  header.writeUInt32BE(MAX_FRAME + 1, 0);
  assert.throws(() => reader([]).push(header), BadFrame);
  const r = reader([]);
  for (const byte of header.subarray(0, 15)) r.push(Buffer.of(byte));
  assert.throws(() => {
    r.push(header.subarray(15));
    r.push(Buffer.of(0));
  }, BadFrame);
});
