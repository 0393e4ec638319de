import { sortedJson } from "./json.js";
import { decodeText } from "./text.js";

/** Names of the log levels by number. */
export const LEVELS = ["debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"] as const;

export const LEVEL_WARN = 3;
export const LEVEL_ERR = 4;

/** The arguments of a log function as one text: without separator, null as "nil". Never throws. */
export function logText(args: readonly unknown[]): string {
  let text = "";
  for (const arg of args) text += typeof arg === "string" ? arg : textOf(arg);
  return text;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "nil";
  if (typeof value !== "object") return String(value);
  if (value instanceof Uint8Array)
    return decodeText(Buffer.from(value.buffer, value.byteOffset, value.length), 0, value.length);
  try {
    const isPlain = Array.isArray(value) || value.toString === Object.prototype.toString;
    return isPlain ? (JSON.stringify(value) ?? String(value)) : String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}

/** One argument of log.inspect: JSON with two blanks of indent, or what a log function writes. Never throws. */
export function inspectText(value: unknown): string {
  try {
    return sortedJson(value, 2);
  } catch {
    return logText([value]);
  }
}

/** What was thrown, in one line, and its stack trace if it has one. */
export function describeThrown(thrown: unknown): { message: string; detail: string } {
  try {
    if (!(thrown instanceof Error)) return { message: `thrown: ${logText([thrown])}`, detail: "" };
    const message = logText([thrown.message]); // which may be of any kind
    return { message: message === "" ? logText([thrown.name]) : message, detail: stackOf(thrown) };
  } catch {
    return { message: "thrown: something whose text cannot be made", detail: "" };
  }
}

/** instanceof for what a plugin has thrown, which may throw itself when it is asked. */
export function isA<T>(thrown: unknown, kind: new (...args: never[]) => T): thrown is T {
  try {
    return thrown instanceof kind;
  } catch {
    return false;
  }
}

const MAX_DETAIL = 16 << 10;
const MAX_MESSAGE = 4 << 10;

export function cut(text: string, max = MAX_MESSAGE): string {
  return text.length > max ? `${text.slice(0, max)}…` : text;
}

function stackOf(error: Error): string {
  try {
    let text = String(error.stack ?? error);
    if (error.cause !== undefined) text += `\ncaused by: ${logText([error.cause])}`;
    return cut(text, MAX_DETAIL);
  } catch {
    return "";
  }
}
