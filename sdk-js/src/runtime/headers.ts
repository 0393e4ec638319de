import { decodeText, isEncodable } from "./text.js";

/** One header line: [name, value]. */
export type Line = [name: string, value: string];

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/;

/** Whether a and b name the same header: case does not matter, and - and _ are the same. */
export function sameName(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y && fold(x) !== fold(y)) return false;
  }
  return true;
}

/** A byte of a header name in the form in which names are compared. */
export function fold(c: number): number {
  if (c === 0x5f) return 0x2d;
  return c >= 0x41 && c <= 0x5a ? c + 0x20 : c;
}

/** Names that were found to be good, because plugins write the same ones again and again; bounded, because some make them of what they read. */
const knownNames = new Set<string>();
const MAX_KNOWN = 256;
const MAX_KNOWN_NAME = 64;

/** What is wrong with a header name, or null; RFC 9110 section 5.6.2. */
export function nameFault(name: unknown): string | null {
  if (typeof name !== "string") return `header name is ${kindOf(name)}; expected text`;
  if (name === "") return "the header name is empty";
  if (knownNames.has(name)) return null;
  if (TOKEN.test(name)) {
    if (knownNames.size < MAX_KNOWN && name.length <= MAX_KNOWN_NAME) knownNames.add(name);
    return null;
  }
  const at = [...name].findIndex((c) => !TOKEN.test(c));
  return `header name ${quote(name)} has ${quote([...name][at] ?? "")} at ${at}; expected letters, digits and !#$%&'*+-.^_\`|~`;
}

/** What is wrong with the text of a header value, or null; RFC 9110 section 5.5. */
function valueFault(name: string, value: string): string | null {
  const at = value.search(CONTROL);
  if (at >= 0) {
    const code = value.charCodeAt(at).toString(16).padStart(2, "0");
    return `value of header ${quote(name)} has the control character 0x${code} at ${at}`;
  }
  return isEncodable(value) ? null : `value of header ${quote(name)} has a lone surrogate`;
}

/** Takes the blanks around a header value off: they would vanish on the wire. */
export function trimValue(value: string): string {
  let from = 0;
  let to = value.length;
  while (from < to && isBlank(value.charCodeAt(from))) from++;
  while (to > from && isBlank(value.charCodeAt(to - 1))) to--;
  return from === 0 && to === value.length ? value : value.substring(from, to);
}

function isBlank(c: number): boolean {
  return c === 0x20 || c === 0x09;
}

/**
 * The lines that a header value stands for, trimmed.
 *
 * @throws HeaderFault when the value is of another kind or not legal.
 */
export function headerLines(name: string, value: unknown): string[] {
  if (typeof value === "string") return [checked(name, value)];
  if (Array.isArray(value)) {
    return value.map((item: unknown, i) => {
      if (typeof item === "string") return checked(name, item);
      if (item instanceof Uint8Array) return checked(name, textOf(item));
      throw new HeaderFault(`value ${i} of header ${quote(name)} is ${kindOf(item)}; expected text`);
    });
  }
  if (typeof value === "boolean" || typeof value === "bigint") return [String(value)];
  if (typeof value === "number" && Number.isFinite(value)) return [String(value)];
  if (value instanceof Uint8Array) return [checked(name, textOf(value))];
  throw new HeaderFault(
    `value of header ${quote(name)} is ${kindOf(value)}; expected text, a number, a boolean, bytes or an array of texts`,
  );
}

/** A header name or value that cannot be used; the message says why. */
export class HeaderFault extends Error {}

/** Values up to this long are looked through one by one. */
const SHORT = 64;

/** Whether a value is short, of printable ASCII, and without blanks around it: as most are, and nothing can be wrong with it. */
function isPlain(value: string): boolean {
  const { length } = value;
  if (length > SHORT || length === 0) return false;
  for (let i = 0; i < length; i++) {
    const c = value.charCodeAt(i);
    if (c < 0x20 || c > 0x7e) return false;
  }
  return value.charCodeAt(0) !== 0x20 && value.charCodeAt(length - 1) !== 0x20;
}

function checked(name: string, value: string): string {
  if (isPlain(value)) return value;
  const trimmed = trimValue(value);
  const fault = valueFault(name, trimmed);
  if (fault !== null) throw new HeaderFault(fault);
  return trimmed;
}

function textOf(bytes: Uint8Array): string {
  const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return decodeText(buf, 0, buf.length);
}

/** Puts the values where the first line of that name stands, or at the end, and removes the other lines of that name. */
export function setLines(lines: Line[], name: string, values: readonly string[]): void {
  let first = lines.findIndex((line) => sameName(line[0], name));
  if (first < 0) first = lines.length;
  const after = lines.slice(first).filter((line) => !sameName(line[0], name));
  lines.length = first;
  for (const value of values) lines.push([name, value]);
  lines.push(...after);
}

/** Appends one line per value. */
export function addLines(lines: Line[], name: string, values: readonly string[]): void {
  for (const value of values) lines.push([name, value]);
}

/** setLines with the rule of Host: a request has one, and the last wins. */
export function setRequestLines(lines: Line[], name: string, values: readonly string[]): void {
  setLines(lines, name, values.length > 1 && sameName(name, "host") ? values.slice(-1) : values);
}

/** addLines with the rule of Host. */
export function addRequestLines(lines: Line[], name: string, values: readonly string[]): void {
  if (values.length > 0 && sameName(name, "host")) setLines(lines, name, values.slice(-1));
  else addLines(lines, name, values);
}

/** The name under which a response header is written. */
export function responseName(name: string): string {
  return name.includes("_") ? name.replaceAll("_", "-") : name;
}

/** A text in double quotes, for messages. */
export function quote(text: string): string {
  return JSON.stringify(text);
}

/** What a value is, for messages: "null", "a number", "an array". */
export function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (value === undefined) return "undefined";
  if (Array.isArray(value)) return "an array";
  if (value instanceof Uint8Array) return "bytes";
  if (typeof value === "object")
    return value.constructor === Object ? "an object" : `a ${value.constructor?.name ?? "object"}`;
  if (typeof value === "string") return "text";
  return `a ${typeof value}`;
}
