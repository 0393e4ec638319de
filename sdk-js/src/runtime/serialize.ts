import { jsonText } from "./json.js";
import { BadJson, readJson } from "./json_read.js";
import { logText } from "./log_text.js";
import { decodeValue } from "./msgpack_read.js";
import type { Op } from "./ops.js";

/** Ways in which log.set_serialize_value may change an entry. */
export const MODES: readonly string[] = ["set", "add", "replace"];

type Entry = Record<string, unknown>;

/** Shows a handler's own log.set_serialize_value calls in the log entry that the host answered. */
export function serializeOver(entry: string, ops: readonly Op[]): string {
  let changed: Entry | null = null;
  for (const op of ops) {
    if (op.kind !== "serialize") continue;
    changed ??= readEntry(entry);
    setSerialized(changed, op.key, decodeValue(op.value), op.mode);
  }
  return changed === null ? entry : jsonText(changed);
}

/** The entry with its integers as they are. */
function readEntry(text: string): Entry {
  const entry = readJson(text);
  if (!isEntry(entry)) throw new BadJson("found another value than an object");
  return entry;
}

/**
 * Changes one value of a log entry. Dots in the key descend, "\." is a dot, null removes. Mode replace with a missing parent does
 * nothing, and so does a path through something that is no map.
 */
export function setSerialized(entry: Entry, key: string, value: unknown, mode: string): void {
  const path = splitKey(key);
  const last = path.pop() as string;
  let at = entry;
  for (const name of path) {
    const next = own(at, name);
    if (isEntry(next)) {
      at = next;
      continue;
    }
    if ((next !== undefined && next !== null) || mode === "replace" || value === null) return;
    const made: Entry = {};
    put(at, name, made);
    at = made;
  }
  const present = Object.hasOwn(at, last);
  if ((mode === "add" && present) || (mode === "replace" && !present)) return;
  if (value === null) delete at[last];
  else put(at, last, shown(value));
}

/** A value for JSON: what JSON has no form for is text, bytes and the numbers that are not finite. */
export function shown(value: unknown): unknown {
  if (value instanceof Uint8Array || (typeof value === "number" && !Number.isFinite(value))) return logText([value]);
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shown(item)]));
}

function own(entry: Entry, name: string): unknown {
  return Object.hasOwn(entry, name) ? entry[name] : undefined;
}

function put(entry: Entry, name: string, value: unknown): void {
  Object.defineProperty(entry, name, { value, enumerable: true, configurable: true, writable: true });
}

function isEntry(value: unknown): value is Entry {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

function splitKey(key: string): string[] {
  return key.split(/(?<!\\)\./).map((part) => part.replaceAll("\\.", "."));
}
