/** Calls as they travel, in the testing kit. The vectors run through it too, by make conformance. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { definePlugin, type PDK } from "../src/index.js";
import { decodeValue } from "../src/runtime/msgpack_read.js";
import { encodeValue } from "../src/runtime/msgpack_write.js";
import { testPlugin } from "../src/testing.js";

class Echo {
  async access(kong: PDK): Promise<void> {
    kong.log.warn(kong.request.getHttpVersion());
    const consumer = kong.client.getConsumer();
    if (consumer === null) throw new Error("nobody");
    kong.service.request.setRawBody(new Uint8Array(40000).fill(120));
    kong.response.exit(200, { id: consumer.id });
  }
}

const echo = definePlugin({ name: "echo", version: "1", instance: Echo });

function callOf(consumer: number | null): Uint8Array {
  const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
  const request = ["GET", "http", "gw.test", 8000, 20, bytes("/"), null, ["x-a", bytes("1")], null];
  const client = ["10.0.0.9", 40000, null, null, false];
  return encodeValue([1, 2, 1000, "r", 1, request, client, null, null, null, consumer]);
}

test("a replayed call gives its outcome as it travels", async () => {
  const exchange = (await testPlugin(echo)).exchange();
  const { outcome, bodies } = await exchange.replay(callOf(3), { 3: encodeValue({ id: "c" }) });
  // The body of 40000 bytes travels ahead, and the outcome names its length with an extension, which is no value: only the end is read.
  assert(Buffer.from(outcome).includes('{"id":"c"}'));
  assert.deepEqual(
    bodies.map((body) => body.length),
    [40000],
  );
  const { logs, response } = exchange.result();
  assert.deepEqual(logs, [{ phase: "access", level: "warn", message: "2" }]);
  assert.equal(response.text, '{"id":"c"}');
});

test("a replayed call that fails says so in its outcome", async () => {
  const exchange = (await testPlugin(echo)).exchange();
  const { outcome } = await exchange.replay(callOf(null));
  const [failed, error, operations] = decodeValue(outcome) as [number, string[], unknown[]];
  assert.deepEqual([failed, error[0], operations], [1, "handler_error", []]);
  assert.match(String(error[1]), /nobody/);
});
