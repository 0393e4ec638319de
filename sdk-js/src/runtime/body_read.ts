import { BadJson, readJson } from "./json_read.js";
import { type BodyType, FORM, JSON_TYPE, parameter } from "./media_type.js";
import { queryArgs } from "./target.js";
import { decodeText } from "./text.js";

/** A body that is not what its media type says; the message says why. */
export class BadBody extends Error {}

/**
 * Parses a body.
 *
 * @param mediaType - with its parameters: a multipart body needs boundary.
 * @param limit - fields of a form that are read.
 * @returns an object without prototype or, from JSON, an array.
 * @throws BadBody
 */
export function readBody(body: Uint8Array, type: BodyType, mediaType: string, limit: number): object {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  if (type === JSON_TYPE) return jsonBody(bytes);
  return type === FORM ? formBody(bytes, limit) : multipartBody(bytes, parameter(mediaType, "boundary"), limit);
}

function jsonBody(body: Buffer): object {
  try {
    const value = readJson(decodeText(body, 0, body.length));
    if (typeof value === "object" && value !== null) return value;
  } catch (cause) {
    if (!(cause instanceof BadJson)) throw cause;
    throw new BadBody(`invalid json body: ${cause.message}`, { cause });
  }
  throw new BadBody("invalid json body: found a scalar; expected an object or an array");
}

/** Fields by name; one that stands several times is a list. */
class Fields<V> {
  readonly object: Record<string, V | V[]> = Object.create(null);

  add(name: string, value: V): void {
    const before = this.object[name];
    if (before === undefined) this.object[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else this.object[name] = [before, value];
  }
}

function formBody(body: Buffer, limit: number): object {
  const fields = new Fields<string | true>();
  let left = limit;
  for (const [name, value] of queryArgs(decodeText(body, 0, body.length))) {
    if (left-- === 0) break;
    fields.add(name, value);
  }
  return fields.object;
}

const LF = 0x0a;
const CR = 0x0d;

/** RFC 7578. What is in front of the first delimiter and behind the last is ignored; lines may end with LF alone. */
function multipartBody(body: Buffer, boundary: string | null, limit: number): object {
  if (boundary === null || boundary === "") throw new BadBody("the media type names no boundary");
  const delimiter = Buffer.from(`--${boundary}`);
  const fields = new Fields<string>();
  let left = limit;
  let partAt = -1; // start of the part under way
  for (let at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at + 1)) {
    const kind = delimiterKind(body, at, delimiter.length);
    if (kind === null) continue;
    if (partAt >= 0) {
      const found = readPart(body.subarray(partAt, Math.max(partAt, beforeLineEnd(body, at))));
      if (found !== null && left-- > 0) fields.add(...found);
    }
    if (kind === "last") return fields.object;
    partAt = lineAfter(body, at);
    if (partAt < 0) break;
  }
  throw new BadBody("invalid multipart body: no closing delimiter");
}

/** Start of the next line; -1 when there is none. */
function lineAfter(body: Buffer, at: number): number {
  const end = body.indexOf(LF, at);
  return end < 0 ? -1 : end + 1;
}

/** Position of the line end in front of a line. */
function beforeLineEnd(body: Buffer, line: number): number {
  return body[line - 2] === CR ? line - 2 : line - 1;
}

/** Whether the text of a delimiter stands alone in its line, as one between parts or behind the last one. */
function delimiterKind(body: Buffer, at: number, length: number): "next" | "last" | null {
  if (at > 0 && body[at - 1] !== LF) return null;
  const end = body.indexOf(LF, at);
  const rest = body.latin1Slice(at + length, end < 0 ? body.length : end).trim();
  if (rest === "--") return "last";
  return rest === "" ? "next" : null;
}

/** Name and value of a part; null when it has no name. */
function readPart(part: Buffer): [name: string, value: string] | null {
  let name: string | null = null;
  for (let line = 0; line >= 0 && line < part.length; ) {
    const next = lineAfter(part, line);
    const end = next < 0 ? part.length : beforeLineEnd(part, next);
    if (end <= line) return name ? [name, decodeText(part, next, part.length)] : null;
    const [, disposition] = /^content-disposition[ \t]*:(.*)$/is.exec(decodeText(part, line, end)) ?? [];
    if (disposition !== undefined) name ??= parameter(disposition, "name");
    line = next;
  }
  return name ? [name, ""] : null; // the delimiter stands where the blank line should
}
