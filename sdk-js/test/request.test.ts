import assert from "node:assert/strict";
import { test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import type { Line } from "../src/runtime/headers.js";
import { encodeText } from "../src/runtime/text.js";
import { read, run } from "./harness.js";
import type { PartialFacts } from "./host_driver.js";

const target = (t: string): PartialFacts => ({ request: { target: t } });
const headers = (...lines: Line[]): PartialFacts => ({ request: { headers: lines } });
const manyArgs = `/?${Array.from({ length: 150 }, (_, i) => `a${i}=${i}`).join("&")}`;

test("scheme, host, port, version, method", async () => {
  const over = { request: { method: "PURGE", scheme: "https", host: "line.test", port: 8443, httpVersion: 10 } };
  const seen = await read(
    ({ request: r }) => [r.getScheme(), r.getHost(), r.getPort(), r.getHttpVersion(), r.getMethod(), r.getStartTime()],
    over,
  );
  assert.deepEqual(seen, ["https", "line.test", 8443, 1, "PURGE", 1_790_000_000_123]);
  assert.equal(await read((k) => k.request.getHttpVersion(), { request: { httpVersion: 20 } }), 2);
});

test("forwarded data is that of the host, or the request's own", async () => {
  const seen = (k: PDK): unknown[] => [
    k.request.getForwardedScheme(),
    k.request.getForwardedHost(),
    k.request.getForwardedPort(),
    k.request.getForwardedPath(),
    k.request.getForwardedPrefix(),
  ];
  assert.deepEqual(await read(seen, target("/p?q=1")), ["http", "gw.test", 8000, "/p", null]);
  const forwarded = { scheme: "https", host: "fwd.test", port: 99, path: "/a?b#c", prefix: "/x" };
  assert.deepEqual(await read(seen, { forwarded }), ["https", "fwd.test", 99, "/a?b#c", "/x"]);
  assert.equal(await read((k) => k.request.getForwardedPrefix(), { forwarded: { ...forwarded, prefix: null } }), null);
});

test("path and query as sent and as normalised", async () => {
  const seen = (k: PDK): unknown[] => [
    k.request.getPath(),
    k.request.getRawPath(),
    k.request.getPathWithQuery(),
    k.request.getRawQuery(),
  ];
  assert.deepEqual(await read(seen, target("/p?x=1")), ["/p", "/p", "/p?x=1", "x=1"]);
  assert.deepEqual(await read(seen, target("/p?")), ["/p", "/p", "/p?", ""]);
  assert.deepEqual(await read(seen, target("/p")), ["/p", "/p", "/p", ""]);
  const normalised = { request: { target: "/a/../b?c", path: "/b" } };
  assert.deepEqual(await read(seen, normalised), ["/b", "/a/../b", "/a/../b?c", "c"]);
  const replaced = { request: { target: "/p?x=1", rawQuery: "" } };
  assert.deepEqual(await read(seen, replaced), ["/p", "/p", "/p?x=1", ""]);
});

test("query arguments", async () => {
  const arg = (t: string, name: string): Promise<unknown> => read((k) => k.request.getQueryArg(name), target(t));
  assert.equal(await arg("/?s=one%20two&b&e=", "s"), "one two");
  assert.equal(await arg("/?s=one%20two&b&e=", "b"), true);
  assert.equal(await arg("/?s=one%20two&b&e=", "e"), "");
  assert.equal(await arg("/?s=one%20two&b&e=", "nope"), null);
  assert.equal(await arg("/?a=1&a=2", "a"), "1");
  assert.equal(await arg("/?Foo=1&foo=2", "foo"), "2");
  assert.equal(await arg("/?a=x+y%2b%zz%", "a"), "x y+%zz%");
  assert.equal(await arg("/?n%61me=v", "name"), "v");
  assert.equal(await arg("/?a=%ff", "a"), "\udcff");
  assert.equal(await arg(manyArgs, "a99"), "99");
  assert.equal(await arg(manyArgs, "a100"), null);
});

test("the query map keeps order, drops empty names and says what it cut", async () => {
  const query = (t: string, max?: number): Promise<unknown> =>
    read((k) => {
      const q = k.request.getQuery(max);
      return [[...q], q.truncated];
    }, target(t));
  assert.deepEqual(await query("/?=v&k=1&&=&"), [[["k", "1"]], false]);
  assert.deepEqual(await query("/?b=1&b&b=3"), [
    [
      ["b", "1"],
      ["b", true],
      ["b", "3"],
    ],
    false,
  ]);
  const [all, truncated] = (await query(manyArgs)) as [unknown[], boolean];
  assert.deepEqual([all.length, truncated], [100, true]);
  assert.equal(((await query(manyArgs, 150)) as [unknown[]])[0].length, 150);
});

test("limits outside 1 to 1000 are refused", async () => {
  for (const bad of [0, 1001, 1.5, "x" as unknown as number]) {
    await assert.rejects(
      read((k) => k.request.getQuery(bad)),
      { code: "bad_argument" },
    );
    await assert.rejects(
      read((k) => k.request.getHeaders(bad)),
      { code: "bad_argument" },
    );
  }
});

test("headers: case, dashes, absence, emptiness, repetition", async () => {
  const over = headers(
    ["x-foo", "a"],
    ["x-empty", ""],
    ["x_under", "u"],
    ["x-a", "1st"],
    ["x-a", "2nd"],
    ["x-list", "a, b"],
  );
  const seen = await read(
    ({ request: r }) =>
      ["x-foo", "X_FOO", "X-Foo", "x-empty", "X-Under", "x-a", "x-list", "nope", ""].map((n) => r.getHeader(n)),
    over,
  );
  assert.deepEqual(seen, ["a", "a", "a", "", "u", "1st", "a, b", null, null]);
  const map = await read((k) => k.request.getHeaders(), over);
  assert.deepEqual(map.values("X_A"), ["1st", "2nd"]);
  assert.equal(map.get("X_Under"), "u");
  assert.deepEqual(map.names(), ["x-foo", "x-empty", "x-under", "x-a", "x-list"]);
  assert.deepEqual([map.size, map.truncated, map.has("nope")], [6, false, false]);
});

test("many headers", async () => {
  const over = headers(...Array.from({ length: 130 }, (_, i): Line => [`h${i}`, String(i)]));
  const seen = await read(
    (k) => [k.request.getHeaders(), k.request.getHeaders(200), k.request.getHeader("h129")] as const,
    over,
  );
  assert.deepEqual(
    [seen[0].size, seen[0].truncated, seen[1].size, seen[1].truncated, seen[2]],
    [100, true, 130, false, "129"],
  );
});

test("lesson 24: header bytes that are no UTF-8 come back as they were", async () => {
  const { ops } = await run(
    (k) => k.service.request.setHeader("x-back", k.request.getHeader("x-latin") ?? ""),
    headers(["x-latin", "caf\udce9"]),
  );
  assert.deepEqual(ops, [{ kind: "header", code: 1, name: "x-back", values: ["caf\udce9"] }]);
  assert.equal(encodeText("caf\udce9").toString("hex"), "636166e9");
});

test("arguments of another type are refused", async () => {
  await assert.rejects(
    read((k) => k.request.getHeader(1 as unknown as string)),
    { code: "bad_argument" },
  );
  await assert.rejects(
    read((k) => k.request.getQueryArg(5 as unknown as string)),
    { code: "bad_argument" },
  );
});

test("captures", async () => {
  const over: PartialFacts = { captures: { unnamed: ["42", encodeText("\udcff")], named: [["id", "42"]] } };
  const seen = await read((k) => k.request.getUriCaptures(), over);
  assert.deepEqual(seen.unnamed, ["42", "\udcff"]);
  assert.deepEqual({ ...seen.named }, { id: "42" });
  const none = await read((k) => k.request.getUriCaptures());
  assert.deepEqual([none.unnamed, { ...none.named }], [[], {}]);
});

test("the body is asked for once, and not at all when it came with the call", async () => {
  const body = Uint8Array.of(0, 255);
  const twice = async (k: PDK): Promise<void> => {
    assert.deepEqual(await k.request.getRawBody(), body);
    assert.deepEqual(await k.request.getRawBody(), body);
  };
  const asked = await run(twice, {}, { answer: () => ({ value: body }) });
  assert.deepEqual([asked.outcome.error, asked.asks], [null, [[1]]]);
  const sent = await run(twice, { requestBody: body });
  assert.deepEqual([sent.outcome.error, sent.asks], [null, []]);
  assert.deepEqual(await read((k) => k.request.getRawBody()), new Uint8Array(0));
});

test("a body that is too large for the host is a data error", async () => {
  const answer = () => ({ error: { code: "too_large", message: "9 bytes; at most 8", detail: "" } });
  await assert.rejects(
    read((k) => k.request.getRawBody(), {}, { answer }),
    { code: "bad_data", message: /9 bytes/ },
  );
});

test("upstream headers: set, add, clear, and what reads see of it", async () => {
  const { ops, outcome } = await run(
    (k) => {
      const { request } = k.service;
      request.setHeader("X-A", ["a", "b"]);
      assert.deepEqual(k.request.getHeaders().values("x-a"), ["a", "b"]);
      request.addHeader("x-a", " c ");
      assert.deepEqual(k.request.getHeaders().values("x-a"), ["a", "b", "c"]);
      request.clearHeader("x-gone");
      assert.equal(k.request.getHeader("x-gone"), null);
      request.setHeader("X-Empty", "");
      assert.equal(k.request.getHeader("x-empty"), "");
      request.setHeader("X-A", []);
      assert.equal(k.request.getHeader("x-a"), null);
      request.setHeader("x-num", 2.5);
      request.setHeader("x-bool", false);
      request.setHeader("x-bytes", Uint8Array.of(0x61, 0xff));
      request.setHeader("Host", "new.test");
      assert.equal(k.request.getHeader("host"), "new.test");
      assert.equal(k.request.getHost(), "gw.test");
      request.addHeader("Host", ["a", "b"]);
      assert.deepEqual(k.request.getHeaders().values("host"), ["b"]);
    },
    headers(["host", "gw.test"], ["x-a", "1"], ["x-a", "2"], ["x-gone", "x"]),
  );
  assert.equal(outcome.error, null);
  assert.deepEqual(
    ops.map((op) => (op.kind === "header" ? [op.code, op.name, op.values] : [op.code, op.kind === "text" && op.text])),
    [
      [1, "X-A", ["a", "b"]],
      [2, "x-a", ["c"]],
      [3, "x-gone"],
      [1, "X-Empty", [""]],
      [1, "X-A", []],
      [1, "x-num", ["2.5"]],
      [1, "x-bool", ["false"]],
      [1, "x-bytes", ["a\udcff"]],
      [1, "Host", ["new.test"]],
      [2, "Host", ["a", "b"]],
    ],
  );
});

test("header names and values that are not legal are refused", async () => {
  const bad: [string, unknown][] = [
    ["", "v"],
    ["a b", "v"],
    ["é", "v"],
    ["x", "a\r\nb: c"],
    ["x", "\0"],
    ["x", null],
    ["x", undefined],
    ["x", {}],
    ["x", [1]],
    ["x", ["a", 5]],
    ["x", () => 1],
    ["x", Number.NaN],
    ["x", "\ud800"],
  ];
  for (const [name, value] of bad) {
    const { outcome, ops } = await run((k) => k.service.request.setHeader(name, value as string));
    assert.deepEqual([outcome.error?.code, ops], ["bad_argument", []], `${name}: ${String(value)}`);
    assert.match(outcome.error?.message ?? "", /^bad_argument: service\.request\.set_header: /);
  }
});

test("set_headers sets all, in order of name, or none", async () => {
  const { ops } = await run((k) => k.service.request.setHeaders({ "X-B": "1", "X-A": [] }));
  assert.deepEqual(
    ops.map((op) => op.kind === "header" && [op.name, op.values]),
    [
      ["X-A", []],
      ["X-B", ["1"]],
    ],
  );
  const { ops: none } = await run((k) => {
    assert.throws(() => k.service.request.setHeaders({ "X-A": "1", "X-B": ["a", 5] as unknown as string[] }), {
      code: "bad_argument",
    });
    assert.throws(() => k.service.request.setHeaders(null as unknown as Record<string, string>), {
      code: "bad_argument",
    });
  });
  assert.deepEqual(none, []);
});

test("method, scheme, path", async () => {
  const { ops } = await run((k) => {
    const { request } = k.service;
    request.setMethod("PUT");
    assert.equal(k.request.getMethod(), "PUT");
    request.setScheme("https");
    assert.equal(k.request.getScheme(), "http");
    request.setPath("/x y/é%6F?#[]\udcff%zz");
    assert.equal(k.request.getPath(), "/");
    for (const bad of ["put", "FOO", 1])
      assert.throws(() => request.setMethod(bad as string), { code: "bad_argument" });
    assert.throws(() => request.setScheme("ftp"), { code: "bad_argument" });
    for (const bad of ["x", "", null]) assert.throws(() => request.setPath(bad as string), { code: "bad_argument" });
  });
  assert.deepEqual(
    ops.map((op) => "text" in op && op.text),
    ["PUT", "https", "/x%20y/%C3%A9%6F%3F%23[]%FF%25zz"],
  );
});

test("query writes are seen by query reads", async () => {
  const { ops } = await run((k) => {
    k.service.request.setRawQuery("a=1&b");
    assert.deepEqual(
      [k.request.getQueryArg("b"), k.request.getRawQuery(), k.request.getPathWithQuery()],
      [true, "a=1&b", "/p?x=1"],
    );
    k.service.request.setQuery({ q: "red fox", tag: ["t2", "t1", true], on: true, nil_: "" });
    assert.equal(k.request.getRawQuery(), "nil_=&on&q=red%20fox&tag=t2&tag=t1&tag");
    k.service.request.setQuery({ a: false, b: [] });
    assert.equal(k.request.getRawQuery(), "");
    k.service.request.setQuery({ "": "v", é: 1n, "\udcff": 1.5 });
    assert.equal(k.request.getRawQuery(), "=v&%C3%A9=1&%FF=1.5");
    for (const bad of [{ a: {} }, { a: null }, { a: [null] }, null, "x", { a: "\ud800" }]) {
      assert.throws(() => k.service.request.setQuery(bad as Record<string, string>), { code: "bad_argument" });
    }
    for (const bad of ["a b", "a\n", 1])
      assert.throws(() => k.service.request.setRawQuery(bad as string), { code: "bad_argument" });
    k.service.request.setRawQuery("");
  }, target("/p?x=1"));
  assert.equal(ops.length, 5);
});

test("set_raw_body copies, is seen by reads, and is bounded", async () => {
  const { ops, asks, outcome } = await run(
    async (k) => {
      const body = Uint8Array.of(0, 255);
      k.service.request.setRawBody(body);
      body[0] = 9;
      assert.deepEqual(await k.request.getRawBody(), Uint8Array.of(0, 255));
      assert.throws(() => k.service.request.setRawBody(new Uint8Array(11)), {
        code: "bad_argument",
        message: /11 bytes; at most 10/,
      });
      assert.throws(() => k.service.request.setRawBody("text" as unknown as Uint8Array), { code: "bad_argument" });
    },
    {},
    { hello: { maxBody: 10 } },
  );
  assert.equal(outcome.error, null);
  assert.deepEqual([ops, asks], [[{ kind: "bytes", code: 7, bytes: Uint8Array.of(0, 255) }], []]);
});
