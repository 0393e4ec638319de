import { connect, type Socket } from "node:net";
import { type Blob, type CallFacts, encodeCall } from "../src/runtime/encode_call.js";
import { CHUNK_SIZE, FrameReader, FrameType, HEADER_SIZE, stepOf } from "../src/runtime/frame.js";
import { decodeValue, placeChunks, Reader } from "../src/runtime/msgpack_read.js";
import { encodeValue, Writer } from "../src/runtime/msgpack_write.js";
import { decodeText } from "../src/runtime/text.js";

/** An outcome as the host reads it: operations are [code, args…]. */
export interface ReadOutcome {
  readonly status: number;
  readonly error: [code: string, message: string, detail: string] | null;
  readonly ops: unknown[][];
  readonly body: Uint8Array | null;
  /** Number of the step in its call. */
  readonly step: number;
  /** Bit mask of the prefetched answers that were not asked for. */
  readonly unused: number;
}

export interface LogLine {
  readonly call: number;
  readonly level: number;
  readonly message: string;
  /** Left out: the first. */
  readonly step?: number;
}

export interface HostOptions {
  /** Fields of hello by position that differ from the usual. */
  readonly logLevel?: number;
  readonly maxBody?: number;
  readonly maxShared?: number;
  readonly trusted?: readonly string[];
  /** Answers questions: bytes or a value; an Error-like with code fails. */
  readonly answer?: (fn: number, args: unknown[]) => unknown;
}

/** Fields of a call that a test sets; the rest is a plain GET. */
export type PartialFacts = Partial<Omit<CallFacts, "request" | "client">> & {
  request?: Partial<CallFacts["request"]>;
  client?: Partial<CallFacts["client"]>;
};

export function facts(over: PartialFacts = {}): CallFacts {
  const { request, client, ...rest } = over;
  return {
    instance: 1,
    phase: 2,
    timeoutMs: 1000,
    requestId: "0123456789abcdef0123456789abcdef",
    startTime: 1_790_000_000_123,
    forwarded: null,
    route: null,
    service: null,
    consumer: null,
    credential: null,
    captures: null,
    shared: [],
    response: null,
    serviceResponse: null,
    chunk: null,
    last: false,
    requestBody: null,
    responseBody: null,
    plugin: [],
    tls: null,
    groups: [],
    trace: null,
    prefetched: [],
    steps: [],
    ...rest,
    request: {
      method: "GET",
      scheme: "http",
      host: "gw.test",
      port: 8000,
      httpVersion: 11,
      target: "/",
      path: null,
      headers: [],
      rawQuery: null,
      ...request,
    },
    client: { ip: "10.0.0.9", port: 40000, forwardedIp: null, forwardedPort: null, trusted: false, ...client },
  };
}

/** Text that stands on the wire as bin. */
export function textOf(value: unknown): string {
  if (!(value instanceof Uint8Array)) return String(value);
  const buf = Buffer.from(value);
  return decodeText(buf, 0, buf.length);
}

/** First value of the header that an operation of an outcome sets. */
export function headerOf(outcome: ReadOutcome, op = 0): string {
  const [value] = (outcome.ops[op]?.[2] ?? []) as unknown[];
  return textOf(value);
}

/** Body of the exit that an outcome begins with. */
export function bodyOf(outcome: ReadOutcome): Uint8Array {
  const body = outcome.ops[0]?.[2];
  if (!(body instanceof Uint8Array))
    throw new Error(`expected an exit with a body, found ${JSON.stringify(outcome.ops[0])}`);
  return body;
}

/** Waits for a condition. @throws when it does not hold within twenty seconds: the machine may be busy */
export async function until(holds: () => boolean, what = "the condition"): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`${what} did not hold within twenty seconds`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export function frame(type: number, callId: number, body: Uint8Array, step = 0): Buffer {
  const bytes = Buffer.alloc(HEADER_SIZE + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes.writeUInt32BE(callId, 4);
  bytes[8] = type;
  bytes.writeUInt16BE(step, 10);
  bytes.set(body, HEADER_SIZE);
  return bytes;
}

export function greeting(token: Uint8Array, version = 1): Buffer {
  const head = Buffer.from("ORLN\0\0\0\0", "latin1");
  head.writeUInt16BE(version, 4);
  head.writeUInt16BE(token.length, 6);
  return Buffer.concat([head, token]);
}

export function helloFrame(o: HostOptions = {}): Buffer {
  const hello = [
    1,
    "node-1",
    "gw",
    "0.1.0",
    o.trusted ?? [],
    o.logLevel ?? 0,
    o.maxBody ?? 8 << 20,
    o.maxShared ?? 1 << 16,
  ];
  return frame(FrameType.hello, 0, encodeValue(hello));
}

/** The number of a step, when it is not the first. */
export function laterStep(step: number): { step?: number } {
  return step === 0 ? {} : { step };
}

/** The step in the header of the frame whose body begins there. */
function chunks(callId: number, body: Uint8Array): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0; at < body.length; at += CHUNK_SIZE) {
    frames.push(frame(FrameType.chunk, callId, body.subarray(at, at + CHUNK_SIZE)));
  }
  return frames;
}

/** The host's side of one lane over a socket, for tests. */
export class HostDriver {
  readonly socket: Socket;
  readonly logs: LogLine[] = [];
  readonly goaway: [string, string][] = [];
  readonly closed: Promise<void>;
  hello: unknown[] | null = null;
  asks = 0;
  /** Outcomes that nobody waited for. */
  readonly stray: number[] = [];
  readonly #options: HostOptions;
  readonly #waiting = new Map<number, (outcome: ReadOutcome) => void>();
  /** Steps that have asked, by the order of their questions. */
  readonly askedBy: number[] = [];
  /** How many outcomes had come before each question. */
  readonly askedAfter: number[] = [];
  #outcomes = 0;
  readonly #bulk = new Map<number, Buffer[]>();
  readonly #helloWaiters: (() => void)[] = [];
  #lastId = 0;

  private constructor(socket: Socket, options: HostOptions) {
    this.socket = socket;
    this.#options = options;
    const reader = new FrameReader((type, id, buf, start, end) => this.#frame(type, id, buf, start, end));
    socket.on("data", (piece) => reader.push(piece));
    socket.on("error", () => socket.destroy());
    this.closed = new Promise((resolve) => socket.on("close", () => resolve()));
  }

  /** Connects, greets and says hello. */
  static async open(address: string, token: Uint8Array, options: HostOptions = {}): Promise<HostDriver> {
    const driver = await HostDriver.raw(address, options);
    driver.socket.write(Buffer.concat([greeting(token), helloFrame(options)]));
    await driver.greeted();
    return driver;
  }

  /** Connects and says nothing. */
  static async raw(address: string, options: HostOptions = {}): Promise<HostDriver> {
    const at = /^(.*):(\d+)$/.exec(address);
    const socket = at && !address.startsWith("/") ? connect(Number(at[2]), at[1]) : connect(address);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.setNoDelay(true);
    return new HostDriver(socket, options);
  }

  /** Resolves when the server has said hello. */
  greeted(): Promise<void> {
    return this.hello !== null ? Promise.resolve() : new Promise((resolve) => this.#helloWaiters.push(resolve));
  }

  /** Sends one call and waits for its outcome. */
  call(over: PartialFacts = {}): Promise<ReadOutcome> {
    const { bytes, outcome } = this.prepare(over);
    this.socket.write(bytes);
    return outcome;
  }

  /** Sends a call of several steps and waits until as many outcomes have come as are expected. */
  steps(over: PartialFacts, expected: number): Promise<ReadOutcome[]> {
    const { id, bytes } = this.prepare(over);
    const outcomes: ReadOutcome[] = [];
    return new Promise((resolve) => {
      const wait = (): void =>
        this.onOutcome(id, (outcome) => {
          outcomes.push(outcome);
          if (outcomes.length === expected) resolve(outcomes);
          else wait();
        });
      wait();
      this.socket.write(bytes);
    });
  }

  /** A call that is not sent yet. */
  prepare(over: PartialFacts = {}): { id: number; bytes: Buffer; outcome: Promise<ReadOutcome> } {
    const id = ++this.#lastId;
    const given = facts(over);
    const large: Uint8Array[] = [];
    const ahead = (blob: Blob | null): Blob | null => {
      if (!(blob instanceof Uint8Array) || blob.length <= CHUNK_SIZE) return blob;
      large.push(blob);
      return { chunked: blob.length };
    };
    const call = {
      ...given,
      chunk: ahead(given.chunk),
      requestBody: ahead(given.requestBody),
      responseBody: ahead(given.responseBody),
    };
    const frames = [...large.flatMap((body) => chunks(id, body)), frame(FrameType.call, id, encodeCall(call))];
    const outcome = new Promise<ReadOutcome>((resolve) => this.#waiting.set(id, resolve));
    return { id, bytes: Buffer.concat(frames), outcome };
  }

  /** The frame of a call that is encoded already, for measuring. */
  frameOf(id: number, body: Uint8Array, done: (outcome: ReadOutcome) => void): Buffer {
    this.#waiting.set(id, done);
    return frame(FrameType.call, id, body);
  }

  /** Waits for the next outcome of a call. */
  onOutcome(id: number, done: (outcome: ReadOutcome) => void): void {
    this.#waiting.set(id, done);
  }

  cancel(id: number): void {
    this.socket.write(frame(FrameType.cancel, id, new Uint8Array(0)));
  }

  entity(slot: number, document: object): void {
    this.socket.write(frame(FrameType.entity, 0, encodeValue([slot, document])));
  }

  close(): Promise<void> {
    this.socket.destroy();
    return this.closed;
  }

  #frame(type: number, id: number, buf: Buffer, start: number, end: number): void {
    switch (type) {
      case FrameType.hello:
        this.hello = decodeValue(buf.subarray(start, end)) as unknown[];
        for (const resolve of this.#helloWaiters.splice(0)) resolve();
        return;
      case FrameType.chunk: {
        const list = this.#bulk.get(id) ?? [];
        this.#bulk.set(id, list);
        list.push(buf.subarray(start, end));
        return;
      }
      case FrameType.outcome: {
        this.#outcomes++;
        const done = this.#waiting.get(id);
        this.#waiting.delete(id);
        if (done === undefined) this.stray.push(id);
        else done(this.#outcome(id, buf, start, end));
        return;
      }
      case FrameType.ask: {
        this.asks++;
        this.askedBy.push(stepOf(buf, start));
        this.askedAfter.push(this.#outcomes);
        const [fn, ...args] = decodeValue(buf.subarray(start, end)) as [number, ...unknown[]];
        this.#answer(id, stepOf(buf, start), fn, args);
        return;
      }
      case FrameType.log: {
        const [level, message] = decodeValue(buf.subarray(start, end)) as [number, unknown];
        this.logs.push({ call: id, level, message: textOf(message), ...laterStep(stepOf(buf, start)) });
        return;
      }
      case FrameType.goaway:
        this.goaway.push(decodeValue(buf.subarray(start, end)) as [string, string]);
    }
  }

  #outcome(id: number, buf: Buffer, start: number, end: number): ReadOutcome {
    const bulk = this.#bulk.get(id);
    this.#bulk.delete(id);
    const places = bulk ? placeChunks(buf, start, end, Buffer.concat(bulk)) : null;
    const fields = new Reader(buf, start, end, places).value() as unknown[];
    return {
      status: fields[0] as number,
      error: (fields[1] ?? null) as ReadOutcome["error"],
      ops: (fields[2] ?? []) as unknown[][],
      body: (fields[3] ?? null) as Uint8Array | null,
      step: stepOf(buf, start),
      unused: (fields[4] ?? 0) as number,
    };
  }

  #answer(id: number, step: number, fn: number, args: unknown[]): void {
    const w = new Writer();
    const frames: Buffer[] = [];
    w.array(2);
    const value = this.#options.answer?.(fn, args);
    if (value instanceof Error) {
      w.value([(value as Error & { code?: string }).code ?? "host_error", value.message]);
      w.nil();
    } else if (value instanceof Uint8Array && value.length > CHUNK_SIZE) {
      frames.push(...chunks(id, value));
      w.nil();
      w.chunked(value.length);
    } else {
      w.nil();
      w.value(value ?? null);
    }
    this.socket.write(Buffer.concat([...frames, frame(FrameType.answer, id, w.take(), step)]));
  }
}
