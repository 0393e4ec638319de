import assert from "node:assert/strict";
import { test } from "node:test";
import type { PDK } from "../src/gen/pdk.js";
import { decodeValue } from "../src/runtime/msgpack_read.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import type { Consumer } from "../src/values.js";
import { read, run } from "./harness.js";

const UUID = "33333333-3333-4333-8333-333333333333";
const BOB: Consumer = { id: UUID, username: "bob" };

test("client: addresses", async () => {
  const seen = (k: PDK): unknown[] => [
    k.client.getIp(),
    k.client.getPort(),
    k.client.getForwardedIp(),
    k.client.getForwardedPort(),
  ];
  assert.deepEqual(await read(seen), ["10.0.0.9", 40000, "10.0.0.9", null]);
  const client = { forwardedIp: "1.2.3.4", forwardedPort: 99 };
  assert.deepEqual(await read(seen, { client }), ["10.0.0.9", 40000, "1.2.3.4", 99]);
});

test("client: consumer and credential of the request", async () => {
  const entities = [[3, encodeValue({ ...BOB, tags: ["a"] })]] as const;
  const over = { consumer: 3, credential: encodeValue({ id: "c", consumer_id: UUID, key: "k" }) };
  const [consumer, credential] = await read((k) => [k.client.getConsumer(), k.client.getCredential()] as const, over, {
    entities,
  });
  assert.deepEqual(consumer, { ...BOB, tags: ["a"] });
  assert.ok(Object.isFrozen(consumer) && Object.isFrozen(consumer?.tags));
  assert.deepEqual(credential, { id: "c", consumer_id: UUID, key: "k" });
  assert.deepEqual(await read((k) => [k.client.getConsumer(), k.client.getCredential()]), [null, null]);
});

test("client.authenticate is seen at once, and null clears", async () => {
  const entities = [[3, encodeValue(BOB)]] as const;
  const { ops } = await run(
    (k) => {
      k.client.authenticate({ id: "x" }, { id: "c", key: 1 });
      assert.deepEqual([k.client.getConsumer(), k.client.getCredential()], [{ id: "x" }, { id: "c", key: 1 }]);
      k.client.authenticate(null, { id: "d" });
      assert.deepEqual([k.client.getConsumer(), k.client.getCredential()], [null, { id: "d" }]);
      k.client.authenticate({ id: "y" });
      assert.deepEqual([k.client.getConsumer()?.id, k.client.getCredential()], ["y", null]);
      assert.throws(() => k.client.authenticate(null, null), { code: "bad_argument" });
      assert.throws(() => k.client.authenticate("x" as unknown as Consumer, null), { code: "bad_argument" });
      assert.equal(k.client.getConsumer()?.id, "y");
    },
    { consumer: 3 },
    { entities },
  );
  assert.equal(ops.length, 3);
  assert.equal((await run((k) => k.client.authenticate({ id: "x" }), { phase: 1 })).outcome.error?.code, "wrong_phase");
});

test("client.load_consumer and load_credential", async () => {
  const answer = (fn: number, [key]: unknown[]): { value: unknown } => ({
    value: key === "bob" || key === UUID ? BOB : fn === 5 ? { id: "c" } : null,
  });
  const { outcome, asks } = await run(
    async (k) => {
      assert.deepEqual(await k.client.loadConsumer(UUID), BOB);
      assert.deepEqual(await k.client.loadConsumer("bob", true), BOB);
      assert.equal(await k.client.loadConsumer(UUID.replaceAll("3", "4")), null);
      await assert.rejects(k.client.loadConsumer("bob"), { code: "bad_argument" });
      await assert.rejects(k.client.loadConsumer(5 as unknown as string), { code: "bad_argument" });
      await assert.rejects(k.client.loadConsumer(""), { code: "bad_argument" });
      assert.deepEqual(await k.client.loadCredential("keyauth_credentials", "key"), { id: "c" });
    },
    {},
    { answer },
  );
  assert.equal(outcome.error, null);
  assert.deepEqual(asks, [
    [4, UUID, false],
    [4, "bob", true],
    [4, UUID.replaceAll("3", "4"), false],
    [5, "keyauth_credentials", "key"],
  ]);
});

test("questions of one handler are put one after the other, whoever puts them", async () => {
  let open = 0;
  const { outcome, asks } = await run(
    async (k) => {
      const found = await Promise.all(["a", "b", "c"].map((name) => k.client.loadConsumer(name, true)));
      assert.deepEqual(
        found.map((c) => c?.id),
        ["a", "b", "c"],
      );
    },
    {},
    {
      answer: (_fn, [key]) => {
        assert.equal(++open, 1);
        queueMicrotask(() => open--);
        return { value: { id: key } };
      },
    },
  );
  assert.equal(outcome.error, null);
  assert.equal(asks.length, 3);
});

test("an error of the host keeps its code", async () => {
  const failing = (code: string) => ({ answer: () => ({ error: { code, message: "m", detail: "" } }) });
  for (const code of ["bad_argument", "bad_data", "host_error"]) {
    await assert.rejects(
      read((k) => k.request.getRawBody(), {}, failing(code)),
      { code },
    );
  }
  await assert.rejects(
    read((k) => k.request.getRawBody(), {}, failing("not_ready")),
    { code: "host_error", message: /not_ready: m/ },
  );
});

test("ctx.shared: values, absence, removal, copies", async () => {
  const shared = [
    ["first", encodeValue({ a: [1, null, false] })],
    ["k", encodeValue("old")],
  ] as const;
  const { ops, outcome } = await run(
    (k) => {
      assert.deepEqual(k.ctx.shared.get("first"), { a: [1, null, false] });
      assert.equal(k.ctx.shared.get("nope"), null);
      const value = { list: [1, "a"], bytes: Uint8Array.of(255), big: 2n ** 60n };
      k.ctx.shared.set("v", value);
      value.list.push("later");
      assert.deepEqual(k.ctx.shared.get("v"), { list: [1, "a"], bytes: Uint8Array.of(255), big: 2n ** 60n });
      (k.ctx.shared.get("first") as { a: unknown[] }).a.push("mine");
      assert.deepEqual(k.ctx.shared.get("first"), { a: [1, null, false] });
      for (const v of [true, false, 1.5, "", 0]) {
        k.ctx.shared.set("k", v);
        assert.equal(k.ctx.shared.get("k"), v);
      }
      k.ctx.shared.set("k", null);
      assert.equal(k.ctx.shared.get("k"), null);
      for (const bad of [() => 1, new Date(), { a: Symbol("s") }])
        assert.throws(() => k.ctx.shared.set("x", bad), { code: "bad_argument" });
      assert.throws(() => k.ctx.shared.set(1 as unknown as string, 1), { code: "bad_argument" });
    },
    { shared },
  );
  assert.equal(outcome.error, null);
  assert.equal(ops.length, 7);
  const last = ops.at(-1);
  assert.ok(last?.kind === "shared");
  assert.equal(decodeValue(last.value), null);
});

test("ctx.shared is bounded by max_shared, as the host counts", async () => {
  // Key and value with their heads: 1+1 + 3+n bytes for a text of 256 bytes or more.
  await run(
    (k) => {
      k.ctx.shared.set("a", "x".repeat(995));
      assert.throws(() => k.ctx.shared.set("b", "x".repeat(30)), {
        code: "bad_argument",
        message: /1033 bytes; at most 1024/,
      });
      assert.equal(k.ctx.shared.get("b"), null);
      k.ctx.shared.set("a", "small");
      k.ctx.shared.set("b", "x".repeat(30));
    },
    {},
    { hello: { maxShared: 1024 } },
  ).then(({ outcome }) => assert.equal(outcome.error, null));
});

test("ip, node, router", async () => {
  const hello = { trustedCidrs: ["10.0.0.0/8", "2001:db8::/32", "unix:", "192.0.2.1"] };
  const trusted = await read(
    (k) =>
      ["10.1.1.1", "11.0.0.1", "junk", "2001:db8::7", "::1", "::ffff:10.0.0.1", "192.0.2.1", "fe80::1%eth0", ""].map(
        (a) => k.ip.isTrusted(a),
      ),
    {},
    { hello },
  );
  assert.deepEqual(trusted, [true, false, false, true, false, true, true, false, false]);
  const everybody = await read(
    (k) => [k.ip.isTrusted("::1"), k.ip.isTrusted("8.8.8.8")],
    {},
    { hello: { trustedCidrs: ["0.0.0.0/0", "::/0"] } },
  );
  assert.deepEqual(everybody, [true, true]);
  assert.equal(await read((k) => k.ip.isTrusted("10.0.0.1")), false);
  assert.deepEqual(await read((k) => [k.node.getId(), k.node.getHostname()]), [
    "6f8b0c5e-0000-4000-8000-000000000001",
    "gw",
  ]);
  const entities = [
    [0, encodeValue({ id: "r", name: "orders", paths: ["/a"] })],
    [4095, encodeValue({ id: "s" })],
  ] as const;
  const [route, service] = await read(
    (k) => [k.router.getRoute(), k.router.getService()] as const,
    { route: 0, service: 4095 },
    { entities },
  );
  assert.deepEqual([route?.name, route?.paths, service?.id], ["orders", ["/a"], "s"]);
  assert.deepEqual(await read((k) => [k.router.getRoute(), k.router.getService()]), [null, null]);
});

test("log: levels, joining, what null is", async () => {
  const { logs } = await run((k) => {
    k.log.debug("d");
    k.log.err("a", 1, true, null, undefined, 1.5, 2n ** 60n, Uint8Array.of(0x62, 0xff), [1], { a: 1 }, new Error("oh"));
    k.log.emerg();
  });
  assert.deepEqual(logs, [
    { call: 7, level: 0, message: "d" },
    { call: 7, level: 4, message: 'a1truenilnil1.51152921504606846976b\udcff[1]{"a":1}Error: oh' },
    { call: 7, level: 7, message: "" },
  ]);
});

test("log: below the level nothing is formatted or sent", async () => {
  const { logs, outcome } = await run(
    (k) => {
      const never = {
        toString(): string {
          throw new Error("formatted");
        },
      };
      k.log.debug(never);
      k.log.notice(never);
      k.log.warn("sent");
    },
    {},
    { hello: { logLevel: 3 } },
  );
  assert.deepEqual([logs.map(({ message }) => message), outcome.error], [["sent"], null]);
});

test("log: an argument that cannot be written does not fail the handler", async () => {
  const { logs, outcome } = await run((k) => {
    const endless: Record<string, unknown> = {};
    endless.self = endless;
    k.log.info(endless, Object.create(null), Symbol("s"));
  });
  assert.equal(outcome.error, null);
  assert.match(logs[0]?.message ?? "", /^\[object Object\]/);
});

test("log.set_serialize_value and serialize", async () => {
  const entry = JSON.stringify({ request: { method: "GET" }, list: [1], n: 1 });
  const answer = () => ({ value: entry });
  const { outcome } = await run(
    async (k) => {
      assert.equal(await k.log.serialize(), entry);
      k.log.setSerializeValue("request.method", "PUT");
      k.log.setSerializeValue("a.b", 1);
      k.log.setSerializeValue("a\\.b", 2);
      k.log.setSerializeValue("n", 9, "add");
      k.log.setSerializeValue("absent", 9, "replace");
      k.log.setSerializeValue("absent.deep", 9, "replace");
      k.log.setSerializeValue("n.deep", 9);
      k.log.setSerializeValue("list", null);
      k.log.setSerializeValue("bytes", Uint8Array.of(0x68, 0x69));
      assert.deepEqual(JSON.parse(await k.log.serialize()), {
        request: { method: "PUT" },
        n: 1,
        a: { b: 1 },
        "a.b": 2,
        bytes: "hi",
      });
      for (const [key, mode] of [
        ["", "set"],
        ["k", "x"],
      ] as const) {
        assert.throws(() => k.log.setSerializeValue(key, 1, mode), { code: "bad_argument" });
      }
      assert.throws(() => k.log.setSerializeValue(5 as unknown as string, 1), { code: "bad_argument" });
    },
    { phase: 6 },
    { answer },
  );
  assert.equal(outcome.error, null, JSON.stringify(outcome.error));
  await assert.rejects(
    read((k) => k.log.serialize()),
    { code: "wrong_phase" },
  );
});

test("lesson 22: the PDK refuses use after the handler returned", async () => {
  let kept: PDK | undefined;
  await run((k) => {
    kept = k;
  });
  const k = kept as PDK;
  for (const call of [
    () => k.request.getHeader("a"),
    () => k.service.request.setHeader("a", "b"),
    () => k.log.err("x"),
    () => k.response.exit(200),
  ]) {
    assert.throws(call, { code: "wrong_phase", message: /after the handler ended/ });
  }
  await assert.rejects(k.request.getRawBody(), { code: "wrong_phase" });
});

test("a question that is on its way when the handler ends is refused, not answered", async () => {
  let late: Promise<unknown> | undefined;
  const { outcome } = await run(
    (k) => {
      late = k.request.getRawBody();
      late.catch(() => {});
    },
    {},
    { answer: () => ({ value: Uint8Array.of(1) }) },
  );
  assert.equal(outcome.error, null);
  await assert.rejects(late as Promise<unknown>, { code: "wrong_phase" });
});

test("lesson 01: handlers that throw before, between and after PDK calls fail, and nothing of them is kept", async () => {
  const boom = new TypeError("boom");
  const handlers: ((k: PDK) => unknown)[] = [
    () => {
      throw boom;
    },
    (k) => {
      k.service.request.setHeader("a", "b");
      throw boom;
    },
    async (k) => {
      await k.request.getRawBody();
      k.ctx.shared.set("a", 1);
      throw boom;
    },
    () => Promise.reject(boom),
  ];
  for (const handler of handlers) {
    const { outcome } = await run(handler);
    assert.deepEqual([outcome.error?.code, outcome.error?.message, outcome.ops], ["handler_error", "boom", []]);
    assert.match(outcome.error?.detail ?? "", /TypeError: boom\n.*at /s);
  }
  for (const thrown of [null, undefined, "text", 5, { a: 1 }]) {
    const { outcome } = await run(() => {
      throw thrown;
    });
    assert.equal(outcome.error?.code, "handler_error");
  }
});

test("a handler that does more than the host takes is refused", async () => {
  const { outcome } = await run((k) => {
    for (let i = 0; i < 9000; i++) k.service.request.enableBuffering();
  });
  assert.equal(outcome.error?.code, "too_large");
});

test("an outcome holds at most 15 MiB beside bodies", async () => {
  const MiB = 1 << 20;
  const large = "x".repeat(8 * MiB);
  const handlers: ((k: PDK) => unknown)[] = [
    (k) => k.response.setHeader("x-large", [large, large]),
    (k) => k.response.setHeader("x-large", "\u20ac".repeat(5.1 * MiB)),
    (k) => k.response.exit(200, null, { "x-large": [large, large] }),
    (k) => k.cache.set("a", large.slice(0, MiB - 16)) ?? k.response.setHeader("x-large", large + large.slice(MiB + 8)),
    async (k) => k.log.setSerializeValue("a", [large, large]),
  ];
  for (const handler of handlers) {
    const { outcome } = await run(handler);
    assert.deepEqual([outcome.error?.code, outcome.ops], ["too_large", []]);
  }
  const { outcome } = await run((k) => k.response.setHeader("x-large", [large, large.slice(MiB + 8)]));
  assert.equal(outcome.error, null);
});

test("1000 calls of read and write functions ask nothing", async () => {
  const { asks, ops } = await run((k) => {
    for (let i = 0; i < 500; i++) {
      k.request.getHeader(`h${i}`);
      k.service.request.setHeader("x", String(i));
    }
  });
  assert.deepEqual([asks, ops.length], [[], 500]);
});

test("a handler may return a thenable of any make", async () => {
  const then = "then"; // not a literal key: the linter takes those for mistakes
  const thenable = (settle: (done: () => void) => void): unknown => ({ [then]: settle });
  const settlesTwice = thenable((done) => {
    done();
    done();
  });
  assert.equal((await run(() => settlesTwice)).outcome.error, null);
  const throws = thenable(() => {
    throw new Error("odd");
  });
  assert.equal((await run(() => throws)).outcome.error?.message, "odd");
  const hidden = Object.defineProperty({}, then, {
    get() {
      throw new Error("hidden");
    },
  });
  assert.equal((await run(() => hidden)).outcome.error?.message, "hidden");
});

test("lesson 03: whatever a handler throws fails it alone", async () => {
  const broken = (key: string): Error =>
    Object.defineProperty(new Error("x"), key, {
      get() {
        throw new Error("in the getter");
      },
    });
  const shapes = [
    Object.assign(new Error("x"), { message: { a: 1 } }),
    Object.assign(new Error("x"), { message: undefined, name: 5 }),
    ...["message", "code", "stack", "name"].map(broken),
    Object.create(null),
    Symbol("s"),
    undefined,
    new Proxy(new Error("x"), {
      get() {
        throw new Error("in the proxy");
      },
    }),
  ];
  for (const shape of shapes) {
    const { outcome } = await run(() => {
      throw shape;
    });
    assert.equal(outcome.error?.code, "handler_error");
    assert.equal(typeof outcome.error.message, "string");
  }
});

test("bodies of body_filter: text keeps its bytes, and bytes are those that were returned", async () => {
  const text = await run(() => "a\udcff", { phase: 5, chunk: new Uint8Array(1) });
  assert.deepEqual(text.outcome.body && [...text.outcome.body], [0x61, 0xff]);
  const reused = new Uint8Array(100_000).fill(1);
  const { outcome } = await run(() => reused, { phase: 5, chunk: new Uint8Array(1) });
  reused.fill(2);
  assert.equal(outcome.body?.[50_000], 1);
});

test("JSON bodies: what has no JSON form is refused", async () => {
  const cycle: unknown[] = [];
  cycle.push(cycle);
  const refused = [{ a: Number.NaN }, [Number.POSITIVE_INFINITY], { a: new Uint8Array(1) }, [Buffer.from("a")], cycle];
  for (const body of refused) {
    const { outcome } = await run((k) => k.response.exit(200, body as object));
    assert.equal(outcome.error?.code, "bad_argument");
  }
  const { ops } = await run((k) =>
    k.response.exit(200, { "\udcff\\udcff": ["\ud83d\ude00", "\\udcff", 2n ** 60n, "\ud800"] }),
  );
  assert(ops[0]?.kind === "exit" && ops[0].body !== null);
  const expected = `{"\ufffd\\\\udcff":["\u{1f600}","\\\\udcff",1152921504606846976,"\ufffd"]}`;
  assert.equal(Buffer.from(ops[0].body).toString(), expected);
});

test("a question with more than the host takes is refused", async () => {
  const { outcome, asks } = await run((k) => k.client.loadConsumer("x".repeat(1 << 20), true));
  assert.equal(outcome.error?.code, "bad_argument");
  assert.deepEqual(asks, []);
});

test("letters that only look like ASCII name no header", async () => {
  const found = await read((k) => [k.request.getHeader("\u212aey"), k.request.getHeaders().get("\u212aey")], {
    request: { headers: [["key", "1"]] },
  });
  assert.deepEqual(found, [null, null]);
});
