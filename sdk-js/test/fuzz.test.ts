import assert from "node:assert/strict";
import { test } from "node:test";
import { readAnswer, readHello } from "../src/runtime/lane.js";
import { BadFrame, Reader } from "../src/runtime/msgpack_read.js";
import { fuzz, runOne } from "./fuzz.js";
import { corpusOf, MUTATORS, makeTargets, seeds, type Target } from "./fuzz_targets.js";
import { Random } from "./mutate.js";

// The fuzz targets on their corpus, in which the inputs are that once found something, and for a moment on changed inputs.

test("bytes behind a message are refused, what a newer host adds is not", () => {
  const reader = (hex: string): Reader => new Reader(Buffer.from(hex, "hex"));
  for (const read of [readAnswer, readHello]) assert.throws(() => read(reader("9090")), BadFrame);
  assert.deepEqual(readAnswer(reader("94c00791c0c0")), { error: null, value: 7 });
});

const targets = await makeTargets();

for (const name of Object.keys(MUTATORS)) {
  const target = targets[name] as Target;
  for (const [file, data] of corpusOf(name)) {
    test(`fuzz ${name}: ${file}`, async () => {
      const result = await runOne(name, target, data);
      assert.ok(Array.isArray(result), Array.isArray(result) ? "" : result.why);
    });
  }
  test(`fuzz ${name}: changed inputs`, async () => {
    const run = await fuzz(name, target, new Random("1"), 30, seeds(name).length + 200);
    assert.deepEqual(
      [...run.findings.values()].map(({ why }) => why),
      [],
    );
    assert.ok(run.new > 1);
  });
}
