import { createHash } from "node:crypto";
import { kindOf, quote } from "./headers.js";
import { sortedJson } from "./json.js";
import { logText } from "./log_text.js";
import { type BodyType, FORM, JSON_TYPE, multipartType } from "./media_type.js";
import { isPlainObject } from "./msgpack_write.js";
import { encodeQuery, QueryFault } from "./target.js";
import { decodeText, encodeText, isEncodable } from "./text.js";

/** A value that cannot be written in a media type; the message says why. */
export class BodyFault extends Error {}

/** A body and the Content-Type that says what it is. */
export interface WrittenBody {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

/**
 * Writes a value in a media type, keys sorted by their bytes.
 *
 * @param boundary - of a multipart body; null: one is made of the content. A given one, which the client may know, must not be in
 * the content: fields could be injected.
 * @throws BodyFault
 */
export function writeBodyOf(value: unknown, type: BodyType, boundary: string | null): WrittenBody {
  if (type === JSON_TYPE && Array.isArray(value)) return { bytes: json(value), contentType: JSON_TYPE };
  if (!isPlainObject(value)) {
    const expected = type === JSON_TYPE ? "an object or an array" : "an object";
    throw new BodyFault(`value is ${kindOf(value)}; expected ${expected} for ${type}`);
  }
  if (type === JSON_TYPE) return { bytes: json(value), contentType: JSON_TYPE };
  return type === FORM ? { bytes: form(value), contentType: FORM } : multipart(value, boundary);
}

function json(value: object): Uint8Array {
  try {
    return encodeText(sortedJson(value));
  } catch (cause) {
    throw new BodyFault(`value has no JSON form: ${logText([cause])}`, { cause });
  }
}

function form(fields: Record<string, unknown>): Uint8Array {
  try {
    return encodeText(encodeQuery(fields));
  } catch (cause) {
    if (cause instanceof QueryFault) throw new BodyFault(cause.message, { cause });
    throw cause;
  }
}

/** RFC 7578. */
function multipart(fields: Record<string, unknown>, given: string | null): WrittenBody {
  const parts = Object.keys(fields)
    .filter((name) => fields[name] !== undefined)
    .map((name) => ({ name: nameBytes(name), value: valueBytes(name, fields[name]) }))
    .sort((a, b) => Buffer.compare(a.name, b.name));
  if (given !== null) refuseBoundaryIn(parts, given);
  const boundary = given ?? boundaryOfContent(parts);
  const pieces = parts.flatMap(({ name, value }) => [
    encodeText(`--${boundary}\r\nContent-Disposition: form-data; name="`),
    escapeName(name),
    Buffer.from('"\r\n\r\n'),
    value,
    Buffer.from("\r\n"),
  ]);
  pieces.push(encodeText(`--${boundary}--\r\n`));
  return { bytes: new Uint8Array(Buffer.concat(pieces)), contentType: multipartType(boundary) };
}

interface Part {
  readonly name: Buffer;
  readonly value: Uint8Array;
}

function refuseBoundaryIn(parts: readonly Part[], boundary: string): void {
  const mark = encodeText(`--${boundary}`);
  const holder = parts.find(({ name, value }) => name.includes(mark) || bufferOf(value).includes(mark));
  if (holder === undefined) return;
  const name = quote(decodeText(holder.name, 0, holder.name.length));
  throw new BodyFault(`field ${name} holds the boundary ${quote(boundary)}; expected one that is not in the fields`);
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

function nameBytes(name: string): Buffer {
  if (!isEncodable(name)) throw new BodyFault(`field name ${quote(name)} has a lone surrogate`);
  return encodeText(name);
}

function valueBytes(name: string, value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") {
    if (!isEncodable(value)) throw new BodyFault(`field ${quote(name)} has a lone surrogate`);
    return encodeText(value);
  }
  if (
    typeof value === "boolean" ||
    typeof value === "bigint" ||
    (typeof value === "number" && Number.isFinite(value))
  ) {
    return Buffer.from(String(value));
  }
  throw new BodyFault(`field ${quote(name)} is ${kindOf(value)}; expected text, bytes, a number or a boolean`);
}

/** The name inside its quotes; the HTML standard, section 4.10.21.8. */
function escapeName(name: Buffer): Buffer {
  const text = name
    .latin1Slice(0, name.length)
    .replace(/["\r\n]/g, (c) => ({ '"': "%22", "\r": "%0D", "\n": "%0A" })[c] ?? c);
  return Buffer.from(text, "latin1");
}

function boundaryOfContent(parts: readonly Part[]): string {
  const hash = createHash("sha256");
  for (const { name, value } of parts) hash.update(name).update("\0").update(value).update("\0");
  return `outrigger-${hash.digest("hex").slice(0, 32)}`;
}
