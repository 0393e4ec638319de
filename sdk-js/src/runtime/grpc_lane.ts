import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import {
  type Answer as AnswerMessage,
  type Blob as BlobMessage,
  type BlobSchema,
  type Call as CallMessage,
  type DispatchRequest,
  type DispatchResponse,
  DispatchResponseSchema,
  type Header,
  type HeaderSchema,
  type OperationSchema,
  type Prefetched as PrefetchedMessage,
} from "../gen/proto/outrigger/plugin/v1/plugin_pb.js";
import { SDK_LANGUAGE, SDK_VERSION } from "../version.js";
import { Bulk } from "./bulk.js";
import { type Blob, type CallFacts, encodeCall, type PrefetchedFacts } from "./encode_call.js";
import { CHUNK_SIZE, FEATURES, VERSION } from "./frame.js";
import type { Line } from "./headers.js";
import { type Instances, instanceId } from "./instances.js";
import { type Carrier, closing, Lane } from "./lane.js";
import { describeThrown } from "./log_text.js";
import { BadFrame, decodeValue, placeChunks, skip } from "./msgpack_read.js";
import { encodeValue } from "./msgpack_write.js";
import { type Answer, largeBodies, type Op, type Outcome } from "./ops.js";
import { decodeText, encodeText } from "./text.js";
import { CallView } from "./view.js";

export type DispatchStream = ServerDuplexStream<DispatchRequest, DispatchResponse>;

type Reply = NonNullable<MessageInitShape<typeof DispatchResponseSchema>["message"]>;
type OperationInit = MessageInitShape<typeof OperationSchema>;
type BlobInit = MessageInitShape<typeof BlobSchema>;
type HeaderInit = MessageInitShape<typeof HeaderSchema>;

/** Serves one lane of carrier grpc: the same messages as carrier msgpack, put into its form. */
export class GrpcLane implements Carrier {
  readonly lane: Lane;
  readonly #stream: DispatchStream;
  readonly #bulk = new Bulk(this);
  #full = false;
  #closed = false;

  constructor(stream: DispatchStream, instances: Instances) {
    this.#stream = stream;
    this.lane = new Lane(instances, this);
    stream.on("data", (request: DispatchRequest) => this.#data(request));
    stream.on("drain", () => {
      this.#full = false;
      this.#pump(() => this.#bulk.pump());
    });
    stream.on("end", () => stream.end());
    stream.on("error", () => this.#gone());
    stream.on("cancelled", () => this.#gone());
    stream.on("close", () => this.#gone());
    const hello = {
      version: VERSION,
      sdkLanguage: SDK_LANGUAGE,
      sdkVersion: SDK_VERSION,
      pid: process.pid,
      features: FEATURES,
    };
    this.#send(0, { case: "hello", value: hello });
  }

  #data(request: DispatchRequest): void {
    if (this.#closed) return;
    try {
      this.#message(request);
    } catch (thrown) {
      const { code, message } = closing(thrown);
      this.close(code, message);
    }
  }

  #message({ callId: id, message }: DispatchRequest): void {
    if (!this.lane.ready && message.case !== "hello") throw new BadFrame("the first message is not hello");
    switch (message.case) {
      case "call": {
        const gathered = this.lane.gathered(id, true);
        if (gathered === "dropped") return;
        const body = encodeCall(factsOf(message.value));
        this.lane.call(id, new CallView(body, 0, body.length, gathered && placeChunks(body, 0, body.length, gathered)));
        return;
      }
      case "answer": {
        const { step } = message.value;
        const gathered = this.lane.gathered(id, false, step);
        if (gathered !== "dropped") this.lane.answer(id, step, answerOf(message.value, gathered));
        return;
      }
      case "chunk":
        this.lane.chunk(id, buffer(message.value));
        return;
      case "cancel":
        this.lane.cancel(id);
        return;
      case "entity":
        this.lane.entity(message.value.slot, message.value.document);
        return;
      case "hello":
        this.lane.hello({
          ...message.value,
          maxBody: Number(message.value.maxBody),
          maxShared: Number(message.value.maxShared),
        });
        return;
      case "goaway":
        this.#closed = true;
        this.#stream.end();
        return;
      default:
        throw new BadFrame("a message of an unknown kind");
    }
  }

  #send(callId: number, message: Reply): void {
    if (this.#closed) return;
    if (!this.#stream.write(create(DispatchResponseSchema, { callId, message }))) this.#full = true;
  }

  outcome(id: number, step: number, outcome: Outcome): boolean {
    if (step > 0 && this.#bulk.waits(id, () => this.outcome(id, step, outcome))) return true;
    const bodies = largeBodies(outcome);
    if (bodies.length > 0) this.#pump(() => this.#bulk.add(id, step, outcome, bodies));
    else this.sendOutcome(id, step, outcome);
    return true;
  }

  sendOutcome(id: number, step: number, { error, ops, body, unused }: Outcome): boolean {
    const value = {
      failed: error !== null,
      operations: ops.map(operationOf),
      ...(error !== null && { error: wellFormed(error) }),
      ...(body !== null && { body: blobOf(body) }),
      step,
      unused,
    };
    this.#send(id, { case: "outcome", value: value });
    return true;
  }

  ask(id: number, step: number, fn: number, args: readonly Uint8Array[]): void {
    if (step > 0 && this.#bulk.waits(id, () => this.ask(id, step, fn, args))) return;
    this.#send(id, { case: "ask", value: { function: fn, args: [...args], step } });
  }

  log(id: number, step: number, level: number, message: string): void {
    this.#send(id, { case: "log", value: { level, message: encodeText(message), step } });
  }

  roomy(): boolean {
    return !this.#closed && !this.#full;
  }

  sendChunk(id: number, bytes: Uint8Array): void {
    this.#send(id, { case: "chunk", value: bytes });
  }

  /** Sends pieces of large bodies. Half of one would leave its call without an outcome. */
  #pump(send: () => void): void {
    try {
      send();
    } catch (thrown) {
      this.#break(thrown);
    }
  }

  /** Ends a lane that cannot be written to any more, so that its host does not wait. */
  #break(thrown: unknown): void {
    this.#closed = true;
    const { message } = describeThrown(thrown);
    process.stderr.write(`outrigger-js: a lane is closed because writing to it failed: ${message}\n`);
    this.#stream.emit("error", { code: status.INTERNAL, details: message }); // destroy would leave the host's end open
  }

  close(code: string, message: string): void {
    if (this.#closed) return;
    try {
      this.#send(0, { case: "goaway", value: { code, message: message.toWellFormed() } });
      this.#stream.end();
    } catch (thrown) {
      this.#break(thrown);
    }
    this.#closed = true;
    this.lane.gone();
  }

  #gone(): void {
    this.#closed = true;
    this.#bulk.drop();
    this.lane.gone();
  }
}

function buffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function textOf(bytes: Uint8Array): string {
  return decodeText(buffer(bytes), 0, bytes.length);
}

function linesOf(headers: readonly Header[]): Line[] {
  return headers.map(({ name, value }) => [name, textOf(value)]);
}

/** nil */
const NIL = Uint8Array.of(0xc0);

function blobIn(blob: BlobMessage | undefined): Blob | null {
  if (blob === undefined) return null;
  switch (blob.content.case) {
    case "inline":
      return blob.content.value;
    case "chunked":
      return { chunked: whole("length of a body", blob.content.value) };
    default:
      return new Uint8Array(0);
  }
}

/** A number of 64 bits that JavaScript can hold. */
function whole(what: string, value: bigint): number {
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new BadFrame(`${what} is ${value}; at most 2^53-1 is allowed`);
  return Number(value);
}

/** Bytes that are to stand inside others: more or less than one value would move what follows. */
function oneValue(what: string, bytes: Uint8Array): Uint8Array {
  if (skip(buffer(bytes), 0, bytes.length) !== bytes.length) throw new BadFrame(`${what} is not one value`);
  return bytes;
}

function factsOf(m: CallMessage): CallFacts {
  const { request, client, forwarded, captures, response, serviceResponse, tls } = m;
  return {
    instance: instanceId(m.instance),
    phase: m.phase,
    timeoutMs: m.timeoutMs,
    requestId: m.requestId,
    startTime: whole("start_time", m.startTime),
    request: {
      method: request?.method ?? "",
      scheme: request?.scheme ?? "",
      host: request?.host ?? "",
      port: request?.port ?? 0,
      httpVersion: request?.httpVersion ?? 0,
      target: request?.target ?? "",
      path: request?.path ?? null,
      headers: linesOf(request?.headers ?? []),
      rawQuery: request?.rawQuery ?? null,
    },
    client: {
      ip: client?.ip ?? "",
      port: client?.port ?? 0,
      forwardedIp: client?.forwardedIp ?? null,
      forwardedPort: client?.forwardedPort ?? null,
      trusted: client?.trusted ?? false,
    },
    forwarded: forwarded ? { ...forwarded, prefix: forwarded.prefix ?? null } : null,
    route: m.route ?? null,
    service: m.service ?? null,
    consumer: m.consumer ?? null,
    credential: m.credential === undefined ? null : oneValue("credential", m.credential),
    captures: captures
      ? { unnamed: captures.unnamed, named: captures.named.map(({ name, value }) => [name, value] as const) }
      : null,
    shared: m.shared.map(({ key, value }) => [key, oneValue("value of ctx.shared", value)] as const),
    response: response ? { ...response, headers: linesOf(response.headers) } : null,
    serviceResponse: serviceResponse
      ? {
          status: serviceResponse.status,
          headers: serviceResponse.sameHeaders ? null : linesOf(serviceResponse.headers),
        }
      : null,
    chunk: blobIn(m.chunk),
    last: m.last,
    requestBody: blobIn(m.requestBody),
    responseBody: blobIn(m.responseBody),
    plugin: m.plugin.map(({ key, value }) => [key, oneValue("value of ctx.plugin", value)] as const),
    tls: tls ?? null,
    groups: m.groups,
    trace: m.trace ?? null,
    prefetched: m.prefetched.map(prefetchedIn),
    steps: m.steps.map((step) => ({
      instance: instanceId(step.instance),
      timeoutMs: step.timeoutMs,
      plugin: step.plugin.map(({ key, value }) => [key, oneValue("value of ctx.plugin", value)] as const),
      prefetched: step.prefetched.map(prefetchedIn),
      trace: step.trace ?? null,
    })),
  };
}

function prefetchedIn(item: PrefetchedMessage): PrefetchedFacts {
  const args = item.args.map((arg) => oneValue("argument of a prefetched answer", arg));
  if (item.bytes !== undefined) return { fn: item.function, args, value: encodeValue(item.bytes) };
  return { fn: item.function, args, value: oneValue("a prefetched answer", item.value ?? NIL) };
}

function answerOf({ error, bytes, value }: AnswerMessage, gathered: Buffer | null): Answer {
  if (error !== undefined) return { error: { ...error }, value: null };
  const blob = blobIn(bytes);
  if (blob === null) return { error: null, value: value === undefined ? null : decodeValue(value) };
  if (blob instanceof Uint8Array) return { error: null, value: blob };
  if (gathered === null || gathered.length !== blob.chunked) {
    throw new BadFrame(`bytes of length ${blob.chunked} announced, ${gathered?.length ?? 0} came in chunks`);
  }
  return { error: null, value: new Uint8Array(gathered) };
}

function blobOf(bytes: Uint8Array): BlobInit {
  return bytes.length > CHUNK_SIZE
    ? { content: { case: "chunked", value: BigInt(bytes.length) } }
    : { content: { case: "inline", value: bytes } };
}

function headersOf(lines: readonly Line[]): HeaderInit[] {
  return lines.map(([name, value]) => ({ name, value: encodeText(value) }));
}

/** Protobuf strings have no place for invalid bytes. */
function wellFormed({ code, message, detail }: NonNullable<Outcome["error"]>): NonNullable<Outcome["error"]> {
  return { code, message: message.toWellFormed(), detail: detail.toWellFormed() };
}

function operationOf(op: Op): OperationInit {
  const { code } = op;
  switch (op.kind) {
    case "header":
      return { code, name: encodeText(op.name), values: op.values.map(encodeText) };
    case "text":
    case "bytesText":
      return { code, name: encodeText(op.text) };
    case "bytes":
      return { code, body: blobOf(op.bytes) };
    case "flag":
      return { code };
    case "status":
      return { code, status: op.status };
    case "exit":
      return {
        code,
        status: op.status,
        headers: headersOf(op.headers),
        ...(op.body !== null && { body: blobOf(op.body) }),
      };
    case "error":
      return {
        code,
        status: op.status,
        headers: headersOf(op.headers),
        ...(op.message !== null && { message: encodeText(op.message) }),
      };
    case "authenticate":
      return {
        code,
        ...(op.consumer !== null && { value: op.consumer }),
        ...(op.credential !== null && { credential: op.credential }),
      };
    case "shared":
      return { code, name: encodeText(op.key), value: op.value };
    case "serialize":
      return { code, name: encodeText(op.key), value: op.value, mode: op.mode };
    case "generic":
      return { code, value: op.args };
  }
}
