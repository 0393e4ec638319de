/** Bodies read and written: what the vectors do not have room for. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BadBody, readBody } from "../src/runtime/body_read.js";
import { writeBodyOf } from "../src/runtime/body_write.js";
import { jsonText, sortedJson } from "../src/runtime/json.js";
import { BadJson, readJson } from "../src/runtime/json_read.js";
import { boundaryOf, FORM, JSON_TYPE, MULTIPART, multipartType, parameter } from "../src/runtime/media_type.js";

/** Without what deepEqual sees and nobody means: objects without prototypes. */
function plain(value: unknown): unknown {
  return JSON.parse(jsonText(value));
}

test("JSON is read as JSON.parse reads it", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      assert.deepEqual(plain(readJson(text)), plain(JSON.parse(text)));
    }),
  );
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'{}[]",:-01.e+\\tfnu a\n') }), (text) => {
      let expected: unknown = BadJson;
      try {
        expected = plain(JSON.parse(text));
      } catch {
        assert.throws(() => readJson(text), BadJson, text);
        return;
      }
      assert.deepEqual(plain(readJson(text)), expected, text);
    }),
    { numRuns: 3000 },
  );
});

test("integers keep their digits, within 64 bits", () => {
  for (const [text, value] of [
    ["9007199254740991", 9007199254740991],
    ["9007199254740992", 9007199254740992n],
    ["-9223372036854775808", -(2n ** 63n)],
    ["-9223372036854775809", -(2 ** 63)],
    ["18446744073709551615", 2n ** 64n - 1n],
    ["18446744073709551616", 2 ** 64],
    ["9007199254740993.0", 9007199254740992],
    ["1e3", 1000],
  ] as const) {
    assert.equal(readJson(text), value, text);
  }
  assert.throws(() => readJson("1e999"), BadJson);
});

test("a key named __proto__ is a key, and nesting has an end", () => {
  const value = readJson('{"__proto__": {"x": 1}, "a": 1, "a": 2}') as Record<string, unknown>;
  assert.deepEqual(Object.entries(value).length, 2);
  assert.equal(value.x, undefined);
  assert.equal(value.a, 2);
  const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
  assert.ok(Array.isArray(readJson(nested(512))));
  assert.throws(() => readJson(nested(513)), /nesting deeper than 512/);
  assert.throws(() => readJson("[".repeat(100_000)), /nesting deeper than 512/);
});

test("keys are sorted by their bytes, whatever they look like", () => {
  assert.equal(
    sortedJson({ b: 1, "10": 2, "9": 3, é: 4, a: { d: undefined, c: [undefined, 1n] } }),
    '{"10":2,"9":3,"a":{"c":[null,1]},"b":1,"é":4}',
  );
  assert.equal(sortedJson({ "\u{10000}": 1, "\uffff": 2 }), '{"\uffff":2,"\u{10000}":1}');
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  assert.throws(() => sortedJson(circle), TypeError);
  assert.throws(() => sortedJson({ a: Buffer.from("x") }), TypeError);
  assert.equal(sortedJson({ at: new Date(0) }), '{"at":"1970-01-01T00:00:00.000Z"}');
});

test("a multipart body comes back as it was written", () => {
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.string({ minLength: 1 }).filter((name) => !/["\r\n%\\]/.test(name) && name !== "__proto__"),
        fc.string(),
      ),
      fc.option(fc.stringMatching(/^[A-Za-z0-9 ']{1,30}[A-Za-z0-9]$/)),
      (fields, boundary) => {
        const { bytes, contentType } = writeBodyOf(fields, MULTIPART, boundary);
        assert.deepEqual(plain(readBody(bytes, MULTIPART, contentType, 1000)), plain(fields));
      },
    ),
  );
});

const read = (body: string | Uint8Array, mediaType = "multipart/form-data; boundary=B", limit = 100): unknown =>
  plain(readBody(typeof body === "string" ? Buffer.from(body) : body, MULTIPART, mediaType, limit));

test("multipart bodies of other makes", () => {
  const part = (name: string, value: string): string =>
    `--B\r\nContent-Disposition: form-data; name=${name}\r\n\r\n${value}\r\n`;
  assert.deepEqual(read(`preamble\r\n${part('"a"', "1")}--B--\r\nepilogue --B`), { a: "1" });
  assert.deepEqual(read("--B\ncontent-disposition: form-data; name=a\n\n1\n2\n--B--"), { a: "1\n2" });
  assert.deepEqual(read(`${part("a", "1")}${part("a", "2")}${part("b", "")}--B--`), { a: ["1", "2"], b: "" });
  assert.deepEqual(read(`${part("a", "1")}${part("b", "2")}--B--`, undefined, 1), { a: "1" });
  assert.deepEqual(read(`${part('"a\\"; name=b"', "1")}--B--`), { 'a"; name=b': "1" });
  const file = 'Content-Type: text/plain\r\nContent-Disposition: form-data; filename="x; name=y"; NAME="up"';
  assert.deepEqual(read(`--B\r\n${file}\r\n\r\nfile\r\n--B--`), { up: "file" });
  assert.deepEqual(read("--B\r\nContent-Type: text/plain\r\n\r\nnameless\r\n--B--"), {});
  // Lines that only begin like a delimiter, or hold one, are part of the value.
  assert.deepEqual(read(`${part("a", "--BB\r\nx --B\r\n--B-")}--B  \r\n--B-- \r\n`), { a: "--BB\r\nx --B\r\n--B-" });
  assert.deepEqual(read("--B--"), {});
  for (const bad of ["", "--B\r\n", part("a", "1"), "x--B--"]) assert.throws(() => read(bad), BadBody, bad);
  assert.throws(() => read("--B--", "multipart/form-data"), /names no boundary/);
});

test("parameters of media types", () => {
  for (const [value, found] of [
    ["a/b; boundary=x", "x"],
    ['a/b; charset="; boundary=no"; boundary="x y"', "x y"],
    ["a/b;boundary=x;boundary=y", "x"],
    ["a/b; BOUNDARY = x ", "x"],
    ['a/b; boundary="a\\"b"', 'a"b'],
    ["a/b; ; =; boundary=x", "x"],
    ["a/b", null],
    ["boundary=x", null],
  ] as const) {
    assert.equal(parameter(value, "boundary"), found, value);
  }
  for (const boundary of ["abc", "a b", 'a"b', "a\\b"]) {
    assert.equal(boundaryOf(multipartType(boundary)), boundary);
  }
});

test("forms and JSON are written as they are read", () => {
  const { bytes } = writeBodyOf({ a: ["1", true], "b c": "é&" }, FORM, null);
  assert.equal(Buffer.from(bytes).toString(), "a=1&a&b%20c=%C3%A9%26");
  assert.deepEqual(plain(readBody(bytes, FORM, FORM, 100)), { a: ["1", true], "b c": "é&" });
  assert.deepEqual(plain(readBody(Buffer.from('{"a":[1,{}]}'), JSON_TYPE, JSON_TYPE, 1)), { a: [1, {}] });
});
