import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BadFrame, decodeValue, Reader, skip } from "../src/runtime/msgpack_read.js";
import { encodeValue, UnsupportedValue, Writer } from "../src/runtime/msgpack_write.js";
import { decodeText, encodeText, isEncodable } from "../src/runtime/text.js";

const text = fc.string({ unit: "binary" }).filter((s) => s.isWellFormed());

/** Free values as the PDK takes them. Numbers come back as they are; integers beyond 2^53 are BigInt on both sides. */
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    fc.constantFrom(
      null,
      true,
      false,
      0,
      -1,
      127,
      128,
      -32,
      -33,
      255,
      256,
      65535,
      65536,
      2 ** 31,
      2 ** 32,
      -(2 ** 31) - 1,
    ),
    fc.maxSafeInteger(),
    fc.bigInt({ min: 2n ** 53n, max: 2n ** 64n - 1n }),
    fc.bigInt({ min: -(2n ** 63n), max: -(2n ** 53n) }),
    fc.double({ noNaN: true }),
    text,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(text, tie("value"), { maxKeys: 20, noNullPrototype: true }),
  ),
})).value;

test("free values survive both ways", () => {
  fc.assert(
    fc.property(value, (v) => {
      assert.deepEqual(decodeValue(encodeValue(v)), v);
    }),
    { numRuns: 500 },
  );
});

test("lesson 11: false, null, the empty list and the empty map keep their types", () => {
  const v = {
    no: false,
    nothing: null,
    list: [],
    map: {},
    text: "",
    bytes: new Uint8Array(0),
    deep: [[{ a: { b: null } }]],
  };
  assert.deepEqual(decodeValue(encodeValue(v)), v);
});

test("negative zero, infinities and NaN survive", () => {
  for (const v of [-0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN]) {
    assert.ok(Object.is(decodeValue(encodeValue(v)), v), String(v));
  }
});

test("integers keep their value to the bounds of 64 bits", () => {
  for (const v of [2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, -(2n ** 53n), -(2n ** 63n)])
    assert.equal(decodeValue(encodeValue(v)), v);
  assert.equal(decodeValue(encodeValue(5n)), 5);
  assert.throws(() => encodeValue(2n ** 64n), UnsupportedValue);
  assert.throws(() => encodeValue(-(2n ** 63n) - 1n), UnsupportedValue);
});

test("a key __proto__ is a key like any other", () => {
  const v = JSON.parse('{"__proto__": {"polluted": true}}');
  const back = decodeValue(encodeValue(v)) as object;
  assert.deepEqual(Object.keys(back), ["__proto__"]);
  assert.equal((back as { polluted?: boolean }).polluted, undefined);
});

test("maps with text keys and undefined fields are taken", () => {
  assert.deepEqual(decodeValue(encodeValue(new Map([["a", 1]]))), { a: 1 });
  assert.deepEqual(decodeValue(encodeValue({ a: undefined, b: [undefined] })), { b: [null] });
});

test("other values are refused", () => {
  const endless: unknown[] = [];
  endless.push(endless);
  for (const v of [() => 1, Symbol("s"), new Date(), new Map([[1, 2]]), /x/, "\ud800", endless, new Set()]) {
    assert.throws(() => encodeValue(v), UnsupportedValue);
  }
});

test("any bytes survive the way through text", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const buf = Buffer.from(bytes);
      const s = decodeText(buf, 0, buf.length);
      assert.ok(isEncodable(s));
      assert.deepEqual([...encodeText(s)], [...bytes]);
    }),
    { numRuns: 1000 },
  );
});

test("valid text is decoded as UTF-8", () => {
  fc.assert(
    fc.property(text, (s) => {
      const buf = Buffer.from(s);
      assert.equal(decodeText(buf, 0, buf.length), s);
      assert.deepEqual(encodeText(s), buf);
    }),
    { numRuns: 500 },
  );
});

test("invalid bytes become U+DC80 to U+DCFF, as in Python", () => {
  const cases: [string, string][] = [
    ["636166e9", "caf\udce9"],
    ["c3a9ff", "é\udcff"],
    ["eda080", "\udced\udca0\udc80"], // an encoded surrogate
    ["c080", "\udcc0\udc80"], // overlong
    ["f4908080", "\udcf4\udc90\udc80\udc80"], // behind U+10FFFF
    ["e282", "\udce2\udc82"], // cut off
    ["efbfbdff", "\ufffd\udcff"], // a real replacement character
    ["f09f9880", "😀"],
  ];
  for (const [hex, expected] of cases) {
    const buf = Buffer.from(hex, "hex");
    assert.equal(decodeText(buf, 0, buf.length), expected);
    assert.equal(encodeText(expected).toString("hex"), hex);
  }
});

test("a lone surrogate stands for nothing", () => {
  assert.equal(isEncodable("\ud83d"), false);
  assert.equal(isEncodable("\udc00"), false);
  assert.equal(isEncodable("a\udc80b"), true);
  assert.equal(encodeText("a\ud83db").toString(), "a\ufffdb");
});

test("long text and bytes get the right length", () => {
  const w = new Writer(16);
  for (const n of [0, 31, 32, 255, 256, 65535, 65536, 200_000]) {
    for (const s of ["x".repeat(n), "é".repeat(n >> 1), "\udcff".repeat(n)]) {
      w.str(s);
      w.binText(s);
      w.bin(encodeText(s));
      const bytes = w.take();
      const reader = new Reader(bytes);
      assert.equal(reader.text(), s);
      assert.equal(reader.text(), s);
      assert.deepEqual(reader.bytes(), encodeText(s));
      assert.equal(reader.pos, bytes.length);
    }
  }
});

test("a cut-off value is refused, and skip agrees with the reader", () => {
  fc.assert(
    fc.property(value, (v) => {
      const bytes = encodeValue(v);
      assert.equal(skip(bytes, 0, bytes.length), bytes.length);
      for (let n = 0; n < Math.min(bytes.length, 40); n++) {
        const cut = Buffer.from(bytes.subarray(0, n)); // with nothing behind it
        assert.throws(() => decodeValue(cut), BadFrame);
        assert.throws(() => skip(cut, 0, n), BadFrame);
      }
    }),
    { numRuns: 200 },
  );
});

test("random bytes are a value or refused", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      try {
        decodeValue(Buffer.from(bytes));
      } catch (thrown) {
        assert.ok(thrown instanceof BadFrame, String(thrown));
      }
    }),
    { numRuns: 2000 },
  );
});

test("deep nesting is refused without a stack overflow", () => {
  assert.throws(() => decodeValue(Buffer.alloc(100_000, 0x91)), BadFrame);
  assert.throws(() => decodeValue(Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff])), BadFrame);
});
