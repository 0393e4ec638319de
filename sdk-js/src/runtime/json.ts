import { randomBytes } from "node:crypto";
import { encodeText } from "./text.js";

/** Stands in front of the digits of a BigInt until the text is made; nobody can guess it. */
const MARK = `bigint:${randomBytes(16).toString("hex")}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, "g");
/** An escape of JSON text; a lone surrogate is the only `\u` escape from d800 to dfff that JSON.stringify writes. */
const ESCAPE = /\\(u[0-9a-f]{4}|.)/g;

/**
 * JSON text of a value. BigInts keep their digits, and text that is not UTF-8 has U+FFFD for each byte, because JSON is UTF-8.
 *
 * @throws TypeError for cycles, bytes, numbers that are not finite, a value without JSON form, and what toJSON throws.
 */
export function jsonText(value: unknown): string {
  let marked = false;
  const text: string | undefined = JSON.stringify(value, function (this: Record<string, unknown>, key, item: unknown) {
    const given = this[key];
    if (given instanceof Uint8Array) return refuseBytes(); // a Buffer's own toJSON is passed over
    if (typeof item === "bigint") {
      marked = true;
      return `${MARK}${item}`;
    }
    if (typeof item === "number" && !Number.isFinite(item)) throw new TypeError(`number ${item} has no JSON form`);
    return item;
  });
  if (text === undefined) throw new TypeError(`a ${typeof value} has no JSON form`);
  const digits = marked ? text.replace(MARKED, "$1") : text;
  if (!digits.includes("\\ud")) return digits;
  return digits.replace(ESCAPE, (whole, code: string) => (/^ud[89a-f]/.test(code) ? "\ufffd" : whole));
}

function refuseBytes(): never {
  throw new TypeError("bytes have no JSON form");
}

/**
 * JSON text of a value with the keys of objects in the order of their bytes; else as jsonText writes it.
 *
 * @param indent - blanks for each level; 0 for one line.
 * @throws TypeError for cycles, bytes, numbers that are not finite and a value without JSON form.
 */
export function sortedJson(value: unknown, indent = 0): string {
  const text = write(value, "", { indent, inside: new Set() });
  if (text === null) throw new TypeError(`a ${typeof value} has no JSON form`);
  return text;
}

interface Layout {
  readonly indent: number;
  /** Objects and arrays around the value. */
  readonly inside: Set<object>;
}

/** null: the value has no JSON form, which leaves out its key and is a null in an array. */
function write(given: unknown, key: string, layout: Layout): string | null {
  const value = hasToJson(given) ? given.toJSON(key) : given;
  if (value === undefined || typeof value === "function" || typeof value === "symbol") return null;
  if (typeof value === "bigint") return String(value);
  if (typeof value !== "object" || value === null) return jsonText(value);
  if (layout.inside.has(value)) throw new TypeError("a value that holds itself has no JSON form");
  layout.inside.add(value);
  const isArray = Array.isArray(value);
  const items = isArray ? arrayItems(value, layout) : objectItems(value, layout);
  layout.inside.delete(value);
  const [open, close] = isArray ? "[]" : "{}";
  if (items.length === 0 || layout.indent === 0) return `${open}${items.join(",")}${close}`;
  const outer = " ".repeat(layout.indent * layout.inside.size);
  const inner = outer + " ".repeat(layout.indent);
  return `${open}\n${inner}${items.join(`,\n${inner}`)}\n${outer}${close}`;
}

function arrayItems(array: readonly unknown[], layout: Layout): string[] {
  return Array.from(array, (item, i) => write(item, String(i), layout) ?? "null");
}

function objectItems(object: object, layout: Layout): string[] {
  const colon = layout.indent === 0 ? ":" : ": ";
  return Object.entries(object)
    .map(([key, item]) => ({ key, text: write(item, key, layout), bytes: encodeText(key) }))
    .filter(({ text }) => text !== null)
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key, text }) => jsonText(key) + colon + text);
}

/** An object that says itself what stands for it, such as a Date. Bytes have no form, whatever a Buffer says. */
function hasToJson(value: unknown): value is { toJSON(key: string): unknown } {
  if (value instanceof Uint8Array) return refuseBytes();
  return typeof value === "object" && value !== null && typeof (value as { toJSON?: unknown }).toJSON === "function";
}
