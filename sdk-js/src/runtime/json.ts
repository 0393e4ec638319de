import { randomBytes } from "node:crypto";

/** Stands in front of the digits of a BigInt until the text is made; nobody can guess it. */
const MARK = `bigint:${randomBytes(16).toString("hex")}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, "g");
/** An escape of JSON text; a lone surrogate is the only `\u` escape from d800 to dfff that JSON.stringify writes. */
const ESCAPE = /\\(u[0-9a-f]{4}|.)/g;

/**
 * JSON text of a value. BigInts keep their digits, and text that is not UTF-8 has U+FFFD for each byte, because JSON is UTF-8.
 *
 * @param bytes - what stands for bytes.
 * @throws TypeError for cycles, numbers that are not finite, a value without JSON form, and what bytes and toJSON throw.
 */
export function jsonText(value: unknown, bytes: (value: Uint8Array) => string = refuseBytes): string {
  let marked = false;
  const text: string | undefined = JSON.stringify(value, function (this: Record<string, unknown>, key, item: unknown) {
    const given = this[key];
    if (given instanceof Uint8Array) return bytes(given); // a Buffer's own toJSON is passed over
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
