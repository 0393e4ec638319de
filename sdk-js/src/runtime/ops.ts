import {
  OP_CLIENT_AUTHENTICATE,
  OP_CLIENT_SET_AUTHENTICATED_CONSUMER_GROUPS,
  OP_RESPONSE_ERROR,
  OP_RESPONSE_EXIT,
} from "../gen/functions.js";
import { CHUNK_SIZE } from "./frame.js";
import type { Line } from "./headers.js";
import type { Writer } from "./msgpack_write.js";

/** A recorded write of a header: set (an empty list removes) or add. */
export interface HeaderOp {
  readonly kind: "header";
  readonly code: number;
  readonly name: string;
  readonly values: readonly string[];
}

/** A recorded write whose only argument is a text: a header to clear, a method or a scheme; or, of any bytes, a path or a query. */
export interface TextOp {
  readonly kind: "text" | "bytesText";
  readonly code: number;
  readonly text: string;
}

/** One recorded write; docs/wire.md section 6. */
export type Op =
  | HeaderOp
  | TextOp
  | { readonly kind: "bytes"; readonly code: number; readonly bytes: Uint8Array }
  | { readonly kind: "flag"; readonly code: number }
  | { readonly kind: "status"; readonly code: number; readonly status: number }
  | {
      readonly kind: "exit";
      readonly code: number;
      readonly status: number;
      readonly body: Uint8Array | null;
      readonly headers: readonly Line[];
    }
  | {
      readonly kind: "error";
      readonly code: number;
      readonly status: number;
      readonly message: string | null;
      readonly headers: readonly Line[];
    }
  | {
      readonly kind: "authenticate";
      readonly code: number;
      /** MessagePack maps. */
      readonly consumer: Uint8Array | null;
      readonly credential: Uint8Array | null;
    }
  /** A value under a key of ctx.shared or ctx.plugin; value is one MessagePack value. */
  | { readonly kind: "shared"; readonly code: number; readonly key: string; readonly value: Uint8Array }
  | {
      readonly kind: "serialize";
      readonly code: number;
      readonly key: string;
      readonly value: Uint8Array;
      readonly mode: string;
    }
  /** args is the argument list, one MessagePack array. */
  | { readonly kind: "generic"; readonly code: number; readonly args: Uint8Array };

/** An error of a failed outcome or of an answer. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  /** For the log only: a stack trace. */
  readonly detail: string;
}

/** How a handler ended. */
export interface Outcome {
  /** null: done. */
  readonly error: WireError | null;
  readonly ops: readonly Op[];
  /** body_filter's replacement; null: unchanged. */
  readonly body: Uint8Array | null;
  /** Bit mask of the prefetched answers that the handler did not ask for; 0: none. */
  readonly unused: number;
}

/** Answer of the host to a question. */
export interface Answer {
  readonly error: WireError | null;
  /** One free value; bytes for functions that answer bytes. */
  readonly value: unknown;
}

export const NO_OPS: readonly Op[] = [];

/** The outcome of a handler that did nothing. */
export const DONE: Outcome = { error: null, ops: NO_OPS, body: null, unused: 0 };

export function failed(code: string, message: string, detail = ""): Outcome {
  return { error: { code, message, detail }, ops: NO_OPS, body: null, unused: 0 };
}

/** Operations after which no other step of a call runs: what follows is for the host to decide. */
const STOPPING: readonly number[] = [
  OP_RESPONSE_EXIT,
  OP_RESPONSE_ERROR,
  OP_CLIENT_AUTHENTICATE,
  OP_CLIENT_SET_AUTHENTICATED_CONSUMER_GROUPS,
];

/** Whether the steps after one that ended so do not run. */
export function stops({ error, ops }: Outcome): boolean {
  return error !== null || ops.some(({ code }) => STOPPING.includes(code));
}

/** Bodies of an outcome that travel ahead in chunks, in order of position. */
export function largeBodies(outcome: Outcome): Uint8Array[] {
  const bodies: Uint8Array[] = [];
  for (const op of outcome.ops) {
    if (op.kind === "bytes" && op.bytes.length > CHUNK_SIZE) bodies.push(op.bytes);
    if (op.kind === "exit" && op.body !== null && op.body.length > CHUNK_SIZE) bodies.push(op.body);
  }
  if (outcome.body !== null && outcome.body.length > CHUNK_SIZE) bodies.push(outcome.body);
  return bodies;
}

/** Bytes of the texts and values of an operation beside its body; lengthOf says how long a text is. */
export function contentSize(op: Op, lengthOf: (text: string) => number): number {
  switch (op.kind) {
    case "header":
      return headerSize(op, lengthOf);
    case "text":
    case "bytesText":
      return lengthOf(op.text);
    case "exit":
      return linesSize(op.headers, lengthOf);
    case "error":
      return linesSize(op.headers, lengthOf) + lengthOf(op.message ?? "");
    case "authenticate":
      return (op.consumer?.length ?? 0) + (op.credential?.length ?? 0);
    case "shared":
    case "serialize":
      return lengthOf(op.key) + op.value.length;
    case "generic":
      return op.args.length;
    default:
      return 0;
  }
}

function headerSize(op: HeaderOp, lengthOf: (text: string) => number): number {
  let size = lengthOf(op.name);
  for (const value of op.values) size += lengthOf(value);
  return size;
}

function linesSize(lines: readonly Line[], lengthOf: (text: string) => number): number {
  return lines.reduce((sum, [name, value]) => sum + lengthOf(name) + lengthOf(value), 0);
}

/** Appends the body of an outcome frame. */
export function writeOutcome(w: Writer, outcome: Outcome): void {
  const { error, ops, body, unused } = outcome;
  w.array(unused === 0 ? 4 : 5);
  w.uint(error === null ? 0 : 1);
  if (error === null) {
    w.nil();
  } else {
    w.array(3);
    w.str(error.code);
    w.str(error.message);
    w.str(error.detail);
  }
  w.array(ops.length);
  for (const op of ops) writeOp(w, op);
  if (body === null) w.nil();
  else writeBody(w, body);
  if (unused !== 0) w.uint(unused);
}

function writeOp(w: Writer, op: Op): void {
  switch (op.kind) {
    case "header":
      w.array(3);
      w.uint(op.code);
      w.str(op.name);
      w.array(op.values.length);
      for (const value of op.values) w.binText(value);
      return;
    case "text":
      w.array(2);
      w.uint(op.code);
      w.str(op.text);
      return;
    case "bytesText":
      w.array(2);
      w.uint(op.code);
      w.binText(op.text);
      return;
    case "bytes":
      w.array(2);
      w.uint(op.code);
      writeBody(w, op.bytes);
      return;
    case "flag":
      w.array(1);
      w.uint(op.code);
      return;
    case "status":
      w.array(2);
      w.uint(op.code);
      w.uint(op.status);
      return;
    case "exit":
      w.array(4);
      w.uint(op.code);
      w.uint(op.status);
      if (op.body === null) w.nil();
      else writeBody(w, op.body);
      writeLines(w, op.headers);
      return;
    case "error":
      w.array(4);
      w.uint(op.code);
      w.uint(op.status);
      if (op.message === null) w.nil();
      else w.binText(op.message);
      writeLines(w, op.headers);
      return;
    case "authenticate":
      w.array(3);
      w.uint(op.code);
      writeRaw(w, op.consumer);
      writeRaw(w, op.credential);
      return;
    case "shared":
      w.array(3);
      w.uint(op.code);
      w.str(op.key);
      w.raw(op.value);
      return;
    case "serialize":
      w.array(4);
      w.uint(op.code);
      w.str(op.key);
      w.raw(op.value);
      w.str(op.mode);
      return;
    case "generic":
      w.array(2);
      w.uint(op.code);
      w.raw(op.args);
  }
}

/** Bytes in place, or the place of bytes that travel ahead in chunks. */
export function writeBody(w: Writer, body: Uint8Array): void {
  if (body.length > CHUNK_SIZE) w.chunked(body.length);
  else w.bin(body);
}

function writeRaw(w: Writer, value: Uint8Array | null): void {
  if (value === null) w.nil();
  else w.raw(value);
}

/** The flat list of names and values. */
export function writeLines(w: Writer, lines: readonly Line[]): void {
  w.array(2 * lines.length);
  for (const [name, value] of lines) {
    w.str(name);
    w.binText(value);
  }
}
