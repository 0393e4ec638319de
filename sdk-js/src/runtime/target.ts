import type { QueryValue } from "../values.js";
import { kindOf, quote } from "./headers.js";
import { isPlainObject } from "./msgpack_write.js";
import { decodeText, encodeText, isEncodable } from "./text.js";

/** Largest number of arguments or headers that one call gives, and the number without an argument. */
export const MAX_LIMIT = 1000;
export const DEFAULT_LIMIT = 100;

/** Methods that service.request.set_method takes. */
const METHODS = "GET HEAD PUT POST DELETE OPTIONS MKCOL COPY MOVE PROPFIND PROPPATCH LOCK UNLOCK PATCH TRACE".split(
  " ",
);

export function methodFault(method: unknown): string | null {
  if (typeof method !== "string") return `method is ${kindOf(method)}; expected text`;
  return METHODS.includes(method) ? null : `method ${quote(method)} is not one of ${METHODS.join(", ")}`;
}

export function schemeFault(scheme: unknown): string | null {
  if (typeof scheme !== "string") return `scheme is ${kindOf(scheme)}; expected text`;
  return scheme === "http" || scheme === "https" ? null : `scheme ${quote(scheme)} is not http or https`;
}

export function rawQueryFault(query: unknown): string | null {
  if (typeof query !== "string") return `query is ${kindOf(query)}; expected text`;
  for (let i = 0; i < query.length; i++) {
    const c = query.charCodeAt(i);
    if (c <= 0x20 || c === 0x7f) {
      return `query has the byte 0x${c.toString(16).padStart(2, "0")} at ${i}; expected it percent-encoded`;
    }
  }
  return isEncodable(query) ? null : "query has a lone surrogate";
}

const PATH_KEPT = /^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/[\]]|%[0-9A-Fa-f]{2})*$/;

export function pathFault(path: unknown): string | null {
  if (typeof path !== "string") return `path is ${kindOf(path)}; expected text`;
  if (!path.startsWith("/")) return `path ${quote(path)} does not start with /`;
  return isEncodable(path) ? null : "path has a lone surrogate";
}

/** Percent-encodes the bytes of a path that need it. Triplets and reserved characters stay; ? and # would end the path. */
export function escapePath(path: string): string {
  if (PATH_KEPT.test(path)) return path;
  const bytes = encodeText(path);
  let escaped = "";
  for (let i = 0; i < bytes.length; i++) {
    const c = bytes[i] as number;
    if (c === 0x25 ? isTriplet(bytes, i) : isKept(c)) escaped += String.fromCharCode(c);
    else escaped += percent(c);
  }
  return escaped;
}

const KEPT = new Set([..."-._~!$&'()*+,;=:@/[]"].map((c) => c.charCodeAt(0)));

function isKept(c: number): boolean {
  return isAlnum(c) || KEPT.has(c);
}

function isAlnum(c: number): boolean {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0x41 && c <= 0x5a) || (c >= 0x30 && c <= 0x39);
}

function isTriplet(bytes: Uint8Array, i: number): boolean {
  return i + 2 < bytes.length && unhex(bytes[i + 1] as number) >= 0 && unhex(bytes[i + 2] as number) >= 0;
}

function unhex(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1;
}

function percent(c: number): string {
  return `%${c < 16 ? "0" : ""}${c.toString(16).toUpperCase()}`;
}

/** Decodes one name or value of a query: triplets, and + as a blank. A % without two digits stays. */
export function decodeQuery(text: string): string {
  if (!text.includes("%")) return text.includes("+") ? text.replaceAll("+", " ") : text;
  const bytes = encodeText(text);
  let n = 0;
  for (let i = 0; i < bytes.length; i++) {
    let c = bytes[i] as number;
    if (c === 0x2b) {
      c = 0x20;
    } else if (c === 0x25 && isTriplet(bytes, i)) {
      c = (unhex(bytes[i + 1] as number) << 4) | unhex(bytes[i + 2] as number);
      i += 2;
    }
    bytes[n++] = c;
  }
  return decodeText(bytes, 0, n);
}

/** Walks the arguments of a raw query that have a name: [name, value], decoded; true is an argument without an equals sign. */
export function* queryArgs(query: string): IterableIterator<[string, QueryValue]> {
  let from = 0;
  while (from < query.length) {
    let to = query.indexOf("&", from);
    if (to < 0) to = query.length;
    const equals = query.indexOf("=", from);
    if (equals < 0 || equals > to) {
      if (to > from) yield [decodeQuery(query.substring(from, to)), true];
    } else if (equals > from) {
      yield [decodeQuery(query.substring(from, equals)), decodeQuery(query.substring(equals + 1, to))];
    }
    from = to + 1;
  }
}

/** The first value of an argument among the first ones; null when it is not there. */
export function queryArg(query: string, name: string, limit: number): QueryValue | null {
  const decoded = query.includes("%") || query.includes("+");
  for (let from = 0, left = limit; from < query.length && left > 0; ) {
    let to = query.indexOf("&", from);
    if (to < 0) to = query.length;
    const equals = query.indexOf("=", from);
    const bare = equals < 0 || equals > to;
    const end = bare ? to : equals;
    if (end > from) {
      left--;
      const found = decoded
        ? decodeQuery(query.substring(from, end)) === name
        : end - from === name.length && query.startsWith(name, from);
      if (found) return bare ? true : decodeQuery(query.substring(equals + 1, to));
    }
    from = to + 1;
  }
  return null;
}

/** A query without the arguments of a name. The others stay as they are, but for blanks written +, which become %20. */
export function withoutArg(query: string, name: string): string {
  return query
    .split("&")
    .filter((piece) => piece !== "" && decodeQuery(piece.split("=", 1)[0] as string) !== name)
    .map((piece) => piece.replaceAll("+", "%20"))
    .join("&");
}

/** A query argument that cannot be written; the message says why. */
export class QueryFault extends Error {}

/**
 * Writes query arguments sorted by name, percent-encoded with a blank as %20. Names with false or an empty array are left out.
 *
 * @throws QueryFault
 */
export function encodeQuery(args: unknown): string {
  if (!isPlainObject(args)) throw new QueryFault(`args is ${kindOf(args)}; expected an object of names and values`);
  const parts: string[] = [];
  const names = Object.keys(args).map((name) => ({ name, bytes: encodeText(name) }));
  names.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  for (const { name, bytes } of names) {
    if (!isEncodable(name)) throw new QueryFault(`argument name ${quote(name)} has a lone surrogate`);
    const param = args[name];
    for (const value of Array.isArray(param) ? param : [param]) {
      const text = scalarText(name, value);
      if (text === null) continue;
      if (text === true) {
        if (name !== "") parts.push(percentEncode(bytes)); // of a bare empty name nothing would be left but the separator
      } else {
        parts.push(`${percentEncode(bytes)}=${percentEncode(encodeText(text))}`);
      }
    }
  }
  return parts.join("&");
}

/** Text of one value, true for a bare name, null to leave it out. */
function scalarText(name: string, value: unknown): string | true | null {
  if (typeof value === "string") {
    if (!isEncodable(value)) throw new QueryFault(`argument ${quote(name)} has a lone surrogate`);
    return value;
  }
  if (value === true) return true;
  if (value === false) return null;
  if ((typeof value === "number" && Number.isFinite(value)) || typeof value === "bigint") return String(value);
  throw new QueryFault(
    `argument ${quote(name)} is ${kindOf(value)}; expected text, a number, a boolean or an array of these`,
  );
}

function percentEncode(bytes: Uint8Array): string {
  let text = "";
  for (const c of bytes) {
    text += isAlnum(c) || c === 0x2d || c === 0x2e || c === 0x5f || c === 0x7e ? String.fromCharCode(c) : percent(c);
  }
  return text;
}

/** The limit that an argument asks for, or what is wrong with it. */
export function limitOf(name: string, n: unknown): number | string {
  if (typeof n !== "number" || !Number.isInteger(n)) {
    return `${name} is ${typeof n === "number" ? n : kindOf(n)}; expected an integer from 1 to ${MAX_LIMIT}`;
  }
  return n < 1 || n > MAX_LIMIT ? `${name} is ${n}; expected 1 to ${MAX_LIMIT}` : n;
}
