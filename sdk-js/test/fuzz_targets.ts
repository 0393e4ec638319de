import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import type { Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { PDKError } from "../src/errors.js";
import { functions } from "../src/gen/functions.js";
import type { PDK } from "../src/gen/pdk.js";
import {
  type DispatchRequest,
  DispatchRequestSchema,
  type DispatchResponse,
  DispatchResponseSchema,
} from "../src/gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { definePlugin } from "../src/plugin.js";
import { encodeCall } from "../src/runtime/encode_call.js";
import { FrameReader, FrameType } from "../src/runtime/frame.js";
import { type DispatchStream, GrpcLane } from "../src/runtime/grpc_lane.js";
import { Instances } from "../src/runtime/instances.js";
import { readAnswer } from "../src/runtime/lane.js";
import { MsgpackLane } from "../src/runtime/msgpack_lane.js";
import { BadFrame, decodeValue, Reader } from "../src/runtime/msgpack_read.js";
import { encodeValue, MAX_DEPTH } from "../src/runtime/msgpack_write.js";
import { facts, frame } from "./host_driver.js";
import * as mutate from "./mutate.js";

/*
 * What fuzzing feeds: one target for each decoder of this SDK. A target throws when it finds something, and otherwise says what the input met.
 * What it says, such as the words of a refusal, tells the fuzzer that an input has reached something new.
 */

const TOKEN = Buffer.from("0123456789abcdef");
const GREETING = Buffer.concat([Buffer.from("ORLN\x00\x01\x00\x10", "latin1"), TOKEN]);
const HELLO_FIELDS = [1, "n", "host", "0", ["10.0.0.0/8"], 0, 1 << 20, 1 << 16, "c", true];
const UUID = "7a1f0000-0000-4000-8000-000000000001";

/** A target: what the input met, or an error that is a finding. */
export type Target = (data: Buffer) => Promise<string[]>;

/** Arguments of functions that need others than texts. */
const ARGUMENTS: Readonly<Record<string, unknown[]>> = {
  "client.load_consumer": [UUID],
  "client.authenticate_consumer_group_by_consumer_id": [UUID],
  "ip.is_trusted": ["10.0.0.1"],
  "vault.get": ["{vault://env/a}"],
  "vault.parse_reference": ["{vault://env/a}"],
  "vault.update": [{}],
};

interface Function {
  readonly name: string;
  readonly class: string;
  readonly phases: number;
}

const READS = (Object.values(functions) as Function[]).filter((fn) => fn.class === "read");
const ASKS = (Object.values(functions) as Function[]).filter((fn) => fn.class === "ask");

/** Calls a PDK function by its canonical name. */
function invoke(kong: PDK, { name }: Function): unknown {
  const path = name.split(".");
  const last = (path.pop() as string).replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
  let space = kong as unknown as Record<string, unknown>;
  for (const part of path) space = space[part] as Record<string, unknown>;
  const method = space[last] as (...args: unknown[]) => unknown;
  return method.apply(space, ARGUMENTS[name] ?? new Array(method.length).fill("x"));
}

/** An error without the numbers and quotations that differ from input to input. */
function words(thrown: unknown): string {
  return String(thrown)
    .replace(/0x\w+|[0-9]+|"[^"]*"|'[^']*'/g, "#")
    .slice(0, 100);
}

/** What the handlers of an execution met, and the first error that they should not have seen. */
let met: string[] = [];
let wrong: unknown;

/** A PDK error is an answer, BadFrame ends the lane; anything else is a finding. */
function note(fn: Function, kong: PDK, thrown: unknown): void {
  if (thrown instanceof BadFrame) {
    met.push(`${fn.name} ${words(thrown)}`);
    throw thrown;
  }
  if (thrown instanceof PDKError) met.push(`${fn.name} ${words(thrown)}`);
  else if (!kong.signal.aborted) wrong ??= thrown;
}

function readAll(kong: PDK, phase: number): void {
  for (const fn of READS) {
    if ((fn.phases & (1 << phase)) === 0) continue;
    try {
      invoke(kong, fn);
    } catch (thrown) {
      note(fn, kong, thrown);
    }
  }
}

async function askAll(kong: PDK, phase: number): Promise<void> {
  for (const fn of ASKS) {
    if ((fn.phases & (1 << phase)) === 0) continue;
    try {
      await invoke(kong, fn);
    } catch (thrown) {
      note(fn, kong, thrown);
      if (kong.signal.aborted) return;
    }
  }
}

interface Config {
  readonly asks?: boolean;
}

const everything = definePlugin<Config>({
  name: "everything",
  version: "1",
  schema: {
    type: "object",
    properties: {
      asks: { type: "boolean" },
      name: { type: "string", minLength: 1, maxLength: 10, pattern: "^[a-z]*$" },
      count: { type: "integer", minimum: 1 },
      ratio: { type: "number", exclusiveMaximum: 9 },
      names: { type: "array", items: { enum: ["a", "b"] }, uniqueItems: true },
      limits: { type: "object", additionalProperties: { type: ["integer", "null"] } },
    },
    additionalProperties: false,
  },
  instance: class {
    readonly #asks: boolean;

    constructor(config: Config) {
      this.#asks = config.asks === true;
    }

    #handle(kong: PDK, phase: number): void | Promise<void> {
      met.push(`phase ${phase}`);
      readAll(kong, phase);
      if (this.#asks) return askAll(kong, phase);
    }

    rewrite(kong: PDK): void | Promise<void> {
      return this.#handle(kong, 1);
    }
    access(kong: PDK): void | Promise<void> {
      return this.#handle(kong, 2);
    }
    response(kong: PDK): void | Promise<void> {
      return this.#handle(kong, 3);
    }
    headerFilter(kong: PDK): void | Promise<void> {
      return this.#handle(kong, 4);
    }
    async bodyFilter(kong: PDK, chunk: Uint8Array): Promise<Uint8Array> {
      await this.#handle(kong, 5);
      return chunk;
    }
    log(kong: PDK): void | Promise<void> {
      return this.#handle(kong, 6);
    }
  },
});

/** What a lane writes to; nothing of it is a socket. */
class Fake extends EventEmitter {
  readonly sent: Buffer[] = [];
  destroyed = false;
  writable = true;
  writableLength = 0;
  remoteAddress = "";

  setNoDelay(): this {
    return this;
  }
  setTimeout(): this {
    return this;
  }
  cork(): void {}
  uncork(): void {}
  write(bytes: Uint8Array): boolean {
    assert.ok(this.writable && !this.destroyed, "written after the end");
    this.sent.push(Buffer.from(bytes));
    return true;
  }
  end(): void {
    this.writable = false;
  }
  destroy(): void {
    this.destroyed = true;
  }
}

function begin(): void {
  met = [];
  wrong = undefined;
}

/** What was met; throws what handlers should not have seen. */
function finish(): string[] {
  if (wrong !== undefined) throw wrong;
  return met;
}

/** Sizes of the pieces in which an input arrives: they depend on it alone. */
function pieces(data: Buffer): Buffer[] {
  const size = 1 + ((data.length * 7 + (data[0] ?? 0)) % 97);
  return Array.from({ length: Math.ceil(data.length / size) }, (_, i) => data.subarray(i * size, (i + 1) * size));
}

function cutFrames(list: readonly Buffer[]): string[] {
  const got: string[] = [];
  const reader = new FrameReader((type, id, buf, start, end) =>
    got.push(`${type} ${id} ${buf.toString("latin1", start, end)}`),
  );
  try {
    for (const piece of list) reader.push(piece);
  } catch (thrown) {
    if (!(thrown instanceof BadFrame)) throw thrown;
    got.push(thrown.message);
  }
  return got;
}

/** The goaway of a lane that was closed says bad_frame, and not that reading has failed. */
function checkGoaway(code: string, message: string): void {
  assert.equal(code, "bad_frame");
  assert.ok(!message.startsWith("reading a frame failed"), message);
  met.push(words(message));
}

/** Makes the targets, with the instances that they share. */
export async function makeTargets(): Promise<Record<string, Target>> {
  const logged: string[] = [];
  const instances = new Instances([everything], (message) => logged.push(message));
  for (const id of [1, 42]) await instances.configure(id, "everything", Buffer.from("{}"));
  for (const id of [2, 7]) await instances.configure(id, "everything", Buffer.from('{"asks": true}'));

  /** Sends frames of a host to a lane, the last of them in pieces, and ends the connection. */
  async function onLane(first: Buffer, rest: Buffer): Promise<void> {
    const socket = new Fake();
    new MsgpackLane(socket as unknown as Socket, instances, TOKEN);
    socket.emit("data", first);
    for (const piece of pieces(rest)) socket.emit("data", Buffer.from(piece));
    await turn();
    socket.emit("close");
    await turn();
    new FrameReader((type, _id, buf, start, end) => {
      met.push(`sent ${type}`);
      if (type !== FrameType.goaway) return;
      const [code, message] = new Reader(buf, start, end).value() as [string, string];
      checkGoaway(code, message);
    }).push(Buffer.concat(socket.sent));
  }

  const hello = frame(FrameType.hello, 0, encodeValue(HELLO_FIELDS));
  const call = frame(FrameType.call, 1, encodeCall(facts({ instance: 2 })));

  return {
    /** Frames of a host: the lane takes them or closes with goaway bad_frame. */
    async lane(data) {
      begin();
      assert.deepEqual(cutFrames([data]), cutFrames(pieces(data)));
      const says = data.length > 8 && data[8] === FrameType.hello;
      await onLane(says ? GREETING : Buffer.concat([GREETING, hello]), data);
      return finish();
    },

    /** The first bytes of a connection. */
    async greeting(data) {
      begin();
      await onLane(Buffer.alloc(0), data);
      return finish();
    },

    /** Answers to everything that a handler asks: all have the same body. */
    async answer(data) {
      begin();
      try {
        readAnswer(new Reader(data));
      } catch (thrown) {
        if (!(thrown instanceof BadFrame)) throw thrown;
        return [words(thrown)];
      }
      const socket = new Fake();
      new MsgpackLane(socket as unknown as Socket, instances, TOKEN);
      socket.emit("data", Buffer.concat([GREETING, hello, call]));
      for (let i = 0; i < ASKS.length; i++) {
        await turn();
        const asked = cutFrames([Buffer.concat(socket.sent)]).filter((text) => text.startsWith(`${FrameType.ask} `));
        if (asked.length <= i) break;
        socket.emit("data", frame(FrameType.answer, 1, data));
      }
      socket.emit("close");
      await turn();
      return finish();
    },

    /** Messages of a stream: the lane takes them or closes with goaway bad_frame. */
    async grpc(data) {
      begin();
      const requests: DispatchRequest[] = [];
      for (const part of mutate.messagesOf(data)) {
        try {
          requests.push(fromBinary(DispatchRequestSchema, part));
        } catch {
          break; // gRPC ends the stream
        }
      }
      const responses: DispatchResponse[] = [];
      const stream = Object.assign(new EventEmitter(), {
        write: (message: DispatchResponse) => responses.push(message) > 0,
        end: () => {},
      });
      new GrpcLane(stream as unknown as DispatchStream, instances);
      if (requests[0]?.message.case !== "hello") {
        const seed = fromBinary(DispatchRequestSchema, HELLO_MESSAGE);
        stream.emit("data", seed);
      }
      for (const request of requests) stream.emit("data", request);
      await turn();
      stream.emit("close");
      await turn();
      for (const response of responses) {
        toBinary(DispatchResponseSchema, response);
        met.push(`sent ${response.message.case}`);
        if (response.message.case === "goaway")
          checkGoaway(response.message.value.code, response.message.value.message);
      }
      return finish();
    },

    /** A free value: what is encoded again means the same. */
    async value(data) {
      let value: unknown;
      try {
        value = decodeValue(data);
      } catch (thrown) {
        if (!(thrown instanceof BadFrame)) throw thrown;
        return [words(thrown)];
      }
      if (depthOf(value) <= MAX_DEPTH) {
        const again = decodeValue(encodeValue(value));
        assert.ok(isDeepStrictEqual(again, value), data.toString("hex"));
      }
      return [`${typeof value} ${data[0]}`];
    },

    /** A configuration: taken, or refused with the path of the field. */
    async config(data) {
      logged.length = 0;
      const errors = await instances.configure(9, "everything", data);
      assert.deepEqual(logged, []);
      if (errors.length === 0 && data.length > 0) JSON.parse(data.toString());
      return errors.map(({ message }) => words(message).slice(0, 60));
    },
  };
}

function depthOf(value: unknown): number {
  let depth = 0;
  for (let level = [value]; ; depth++) {
    const inner = level.filter((v) => typeof v === "object" && v !== null && !(v instanceof Uint8Array)) as object[];
    if (inner.length === 0) return depth;
    level = inner.flatMap((v) => Object.values(v));
  }
}

interface Vector {
  readonly name: string;
  readonly from: string;
  readonly type: string;
  readonly hex: string;
  readonly messages: string[];
}

function vectors(file: string): Vector[] {
  const path = new URL(`../../../proto/vectors/wire/${file}.json`, import.meta.url);
  const { vectors } = JSON.parse(readFileSync(path, "utf8")) as { vectors: Vector[] };
  return vectors.filter(({ from }) => from === "host");
}

const unhex = (text: string): Buffer => Buffer.from(text, "hex");
const HELLO_MESSAGE = unhex(vectors("grpc").find(({ type }) => type === "hello")?.messages[0] ?? "");

/** A call whose handlers ask, and one of several steps with answers that came along. */
const AHEAD = [
  { fn: 12, args: [encodeValue("x")], value: encodeValue("y") },
  { fn: 1, args: [], value: encodeValue(Buffer.from("body")) },
];
const CALLS = [
  facts({ instance: 2 }),
  facts({
    instance: 1,
    prefetched: AHEAD,
    steps: [2, 7, 42].map((instance) => ({
      instance,
      timeoutMs: 5,
      plugin: [["k", encodeValue([1])]],
      prefetched: AHEAD,
      trace: { parent: "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01", state: "a=b" },
    })),
  }),
];

const CORPUS = new URL("../../test/corpus/", import.meta.url);

/** The committed corpus of a target: names and inputs. */
export function corpusOf(target: string): [name: string, data: Buffer][] {
  try {
    const folder = new URL(`${target}/`, CORPUS);
    return readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(new URL(name, folder))]);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw thrown;
  }
}

/** Inputs to begin with: what the host sends in the shared vectors, and the committed corpus of the target. */
export function seeds(target: string): Buffer[] {
  const wire = ["lane", "call", "ask", "steps", "tolerant", "bad"]
    .flatMap(vectors)
    .filter(({ type }) => type !== "greeting");
  const bodies = (type?: string): Buffer[] =>
    wire
      .filter((vector) => type === undefined || vector.type === type)
      .map(({ hex }) => (mutate.framesOf(unhex(hex)).at(-1) as Buffer).subarray(16));
  const first: Record<string, () => Buffer[]> = {
    lane: () => [
      ...wire.map(({ hex }) => unhex(hex)),
      ...CALLS.map((call) => frame(FrameType.call, 1, encodeCall(call))),
    ],
    greeting: () => [Buffer.concat([GREETING, frame(FrameType.hello, 0, encodeValue(HELLO_FIELDS))])],
    answer: () => bodies("answer"),
    grpc: () => vectors("grpc").map((vector) => mutate.packed(vector.messages.map(unhex))),
    value: () => bodies(),
    config: () =>
      ["{}", '{"asks":false,"name":"a","count":3,"ratio":1.5,"names":["a"],"limits":{"a":1,"b":null}}'].map((text) =>
        Buffer.from(text),
      ),
  };
  return [...(first[target]?.() ?? []), ...corpusOf(target).map(([, data]) => data)];
}

/** The targets by name, with the mutator of each. */
export const MUTATORS: Readonly<Record<string, mutate.Mutator>> = {
  lane: mutate.stream,
  value: mutate.msgpack,
  answer: mutate.msgpack,
  grpc: mutate.messages,
  config: mutate.json,
  greeting: mutate.someBytes,
};
