import type { Line } from "./headers.js";
import { Writer } from "./msgpack_write.js";
import { writeLines } from "./ops.js";

/** Text, or the bytes of a text. */
export type Bytes = string | Uint8Array;

/** Bytes in place, or the length of bytes that came ahead in chunks. */
export type Blob = Uint8Array | { readonly chunked: number };

/** The fields of a call, decoded; docs/wire.md section 5. */
export interface CallFacts {
  readonly instance: number | bigint;
  readonly phase: number;
  readonly timeoutMs: number;
  readonly requestId: string;
  readonly startTime: number;
  readonly request: {
    readonly method: string;
    readonly scheme: string;
    readonly host: string;
    readonly port: number;
    readonly httpVersion: number;
    readonly target: Bytes;
    readonly path: Bytes | null;
    readonly headers: readonly Line[];
    readonly rawQuery: Bytes | null;
  };
  readonly client: {
    readonly ip: string;
    readonly port: number;
    readonly forwardedIp: string | null;
    readonly forwardedPort: number | null;
    readonly trusted: boolean;
  };
  readonly forwarded: {
    readonly scheme: Bytes;
    readonly host: Bytes;
    readonly port: number;
    readonly path: Bytes;
    readonly prefix: Bytes | null;
  } | null;
  /** Slots. */
  readonly route: number | null;
  readonly service: number | null;
  readonly consumer: number | null;
  /** A MessagePack map. */
  readonly credential: Uint8Array | null;
  readonly captures: {
    readonly unnamed: readonly Bytes[];
    readonly named: readonly (readonly [string, Bytes])[];
  } | null;
  /** Values are one MessagePack value each. */
  readonly shared: readonly (readonly [string, Uint8Array])[];
  readonly response: { readonly status: number; readonly headers: readonly Line[]; readonly source: number } | null;
  /** headers null: the same as those of response. */
  readonly serviceResponse: { readonly status: number; readonly headers: readonly Line[] | null } | null;
  readonly chunk: Blob | null;
  readonly last: boolean;
  readonly requestBody: Blob | null;
  readonly responseBody: Blob | null;
  /** ctx.plugin; values are one MessagePack value each. */
  readonly plugin: readonly (readonly [string, Uint8Array])[];
  /** null: the client does not use TLS. */
  readonly tls: {
    readonly version: string;
    readonly cipher: string;
    readonly clientVerify: string;
    readonly hasCertificate: boolean;
  } | null;
  /** Consumer groups that plugins have set. */
  readonly groups: readonly { readonly id: string; readonly name: string }[];
  /** The W3C trace context of the call; null: the gateway does not trace. */
  readonly trace: TraceFacts | null;
  readonly prefetched: readonly PrefetchedFacts[];
  /** The steps after the first. */
  readonly steps: readonly StepFacts[];
}

interface TraceFacts {
  readonly parent: string;
  readonly state: string;
}

/** An answer that travels ahead of its question; arguments and value are one MessagePack value each. */
export interface PrefetchedFacts {
  readonly fn: number;
  readonly args: readonly Uint8Array[];
  readonly value: Uint8Array;
}

/** A step of a fused call; docs/wire.md section 5.3. */
export interface StepFacts {
  readonly instance: number | bigint;
  readonly timeoutMs: number;
  readonly plugin: CallFacts["plugin"];
  readonly prefetched: readonly PrefetchedFacts[];
  readonly trace: TraceFacts | null;
}

/** Fields of a call that every host sends; those behind them travel as far as they are needed. */
const ALWAYS = 23;

/** The body of a call frame. Carrier grpc and the testing kit put their calls into this form, so that one reader serves all. */
export function encodeCall(facts: CallFacts): Buffer {
  const w = new Writer(4096);
  const { trace, prefetched, steps } = facts;
  w.array(ALWAYS + (steps.length > 0 ? 3 : prefetched.length > 0 ? 2 : trace !== null ? 1 : 0));
  w.id(facts.instance);
  w.uint(facts.phase);
  w.uint(facts.timeoutMs);
  w.str(facts.requestId);
  w.uint(facts.startTime);
  writeRequest(w, facts.request);
  writeClient(w, facts.client);
  writeForwarded(w, facts.forwarded);
  for (const slot of [facts.route, facts.service, facts.consumer]) optional(w, slot, (v) => w.uint(v));
  optional(w, facts.credential, (v) => w.raw(v));
  optional(w, facts.captures, ({ unnamed, named }) => {
    w.array(2);
    w.array(unnamed.length);
    for (const v of unnamed) bin(w, v);
    w.map(named.length);
    for (const [name, v] of named) {
      w.str(name);
      bin(w, v);
    }
  });
  writeValues(w, facts.shared);
  optional(w, facts.response, ({ status, headers, source }) => {
    w.array(3);
    w.uint(status);
    writeLines(w, headers);
    w.uint(source);
  });
  optional(w, facts.serviceResponse, ({ status, headers }) => {
    w.array(2);
    w.uint(status);
    optional(w, headers, (lines) => writeLines(w, lines));
  });
  optional(w, facts.chunk, (v) => blob(w, v));
  w.bool(facts.last);
  optional(w, facts.requestBody, (v) => blob(w, v));
  optional(w, facts.responseBody, (v) => blob(w, v));
  writeValues(w, facts.plugin);
  optional(w, facts.tls, ({ version, cipher, clientVerify, hasCertificate }) => {
    w.array(4);
    w.str(version);
    w.str(cipher);
    w.str(clientVerify);
    w.bool(hasCertificate);
  });
  w.array(facts.groups.length);
  for (const { id, name } of facts.groups) {
    w.array(2);
    w.str(id);
    w.str(name);
  }
  if (trace !== null || prefetched.length > 0 || steps.length > 0) writeTrace(w, trace);
  if (prefetched.length > 0 || steps.length > 0) writePrefetched(w, prefetched);
  if (steps.length > 0) {
    w.array(steps.length);
    for (const step of steps) writeStep(w, step);
  }
  return w.take();
}

function writeTrace(w: Writer, trace: TraceFacts | null): void {
  optional(w, trace, ({ parent, state }) => {
    w.array(2);
    w.str(parent);
    w.str(state);
  });
}

function writePrefetched(w: Writer, items: readonly PrefetchedFacts[]): void {
  if (items.length === 0) {
    w.nil();
    return;
  }
  w.array(items.length);
  for (const { fn, args, value } of items) {
    w.array(3);
    w.uint(fn);
    w.array(args.length);
    for (const arg of args) w.raw(arg);
    w.raw(value);
  }
}

function writeStep(w: Writer, step: StepFacts): void {
  w.array(5);
  w.id(step.instance);
  w.uint(step.timeoutMs);
  writeValues(w, step.plugin);
  writePrefetched(w, step.prefetched);
  writeTrace(w, step.trace);
}

function writeValues(w: Writer, values: CallFacts["shared"]): void {
  w.map(values.length);
  for (const [key, value] of values) {
    w.str(key);
    w.raw(value);
  }
}

function writeRequest(w: Writer, request: CallFacts["request"]): void {
  w.array(request.rawQuery === null ? 8 : 9);
  w.str(request.method);
  w.str(request.scheme);
  w.str(request.host);
  w.uint(request.port);
  w.uint(request.httpVersion);
  bin(w, request.target);
  optional(w, request.path, (v) => bin(w, v));
  writeLines(w, request.headers);
  if (request.rawQuery !== null) bin(w, request.rawQuery);
}

function writeClient(w: Writer, client: CallFacts["client"]): void {
  w.array(5);
  w.str(client.ip);
  w.uint(client.port);
  optional(w, client.forwardedIp, (v) => w.str(v));
  optional(w, client.forwardedPort, (v) => w.uint(v));
  w.bool(client.trusted);
}

function writeForwarded(w: Writer, forwarded: CallFacts["forwarded"]): void {
  optional(w, forwarded, ({ scheme, host, port, path, prefix }) => {
    w.array(5);
    bin(w, scheme);
    bin(w, host);
    w.uint(port);
    bin(w, path);
    optional(w, prefix, (v) => bin(w, v));
  });
}

function optional<T>(w: Writer, value: T | null, write: (value: T) => void): void {
  if (value === null) w.nil();
  else write(value);
}

function bin(w: Writer, value: Bytes): void {
  if (typeof value === "string") w.binText(value);
  else w.bin(value);
}

function blob(w: Writer, value: Blob): void {
  if (value instanceof Uint8Array) w.bin(value);
  else w.chunked(value.chunked);
}
