import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNK_SIZE } from "../src/runtime/frame.js";
import { Slabs } from "../src/runtime/slabs.js";

test("copies are joined, and their slabs are used again", () => {
  const slabs = new Slabs();
  const chunk = Buffer.alloc(CHUNK_SIZE, 1);
  const first = slabs.copy(chunk);
  const rest = slabs.copy(Buffer.from("rest"));
  chunk.fill(2); // the reader of the lane writes over it
  const whole = slabs.join([first, rest], CHUNK_SIZE + 4);
  const second = slabs.copy(chunk);
  assert.equal(second, first);
  assert.ok(whole.equals(Buffer.concat([Buffer.alloc(CHUNK_SIZE, 1), Buffer.from("rest")])));
  assert.ok(second.equals(Buffer.alloc(CHUNK_SIZE, 2)));
  assert.notEqual(slabs.copy(chunk), second);
});

test("a small chunk costs its bytes, and what is kept is bounded", () => {
  const slabs = new Slabs();
  assert.ok(slabs.copy(Buffer.alloc(CHUNK_SIZE - 1)).buffer.byteLength < CHUNK_SIZE);
  const chunk = Buffer.alloc(CHUNK_SIZE);
  const copies = Array.from({ length: 100 }, () => slabs.copy(chunk));
  slabs.join(copies, 100 * CHUNK_SIZE);
  const known = new Set(copies);
  const reused = Array.from({ length: 100 }, () => slabs.copy(chunk)).filter((slab) => known.has(slab));
  assert.equal(reused.length, 64);
});
