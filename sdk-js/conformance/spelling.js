/** Values from and to the way in which vectors spell them; proto/vectors/pdk/README.md says how. */
import { MultiMap, Query } from "outrigger-pdk";

/** Text of bytes: UTF-8 in which every invalid byte is one code unit U+DC80 to U+DCFF. */
function textOf(bytes) {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  let text = "";
  for (let at = 0; at < bytes.length; ) {
    const size = [1, 2, 3, 4].find((n) => at + n <= bytes.length && decodes(decoder, bytes.subarray(at, at + n)));
    text +=
      size === undefined ? String.fromCharCode(0xdc00 + bytes[at]) : decoder.decode(bytes.subarray(at, at + size));
    at += size ?? 1;
  }
  return text;
}

function decodes(decoder, bytes) {
  try {
    return decoder.decode(bytes) !== "";
  } catch {
    return false;
  }
}

/** Bytes of a text, the reverse of textOf. */
function bytesOf(text) {
  const parts = [];
  for (const piece of text.split(/([\udc80-\udcff])/u)) {
    const escaped = piece.length === 1 && piece >= "\udc80" && piece <= "\udcff";
    parts.push(escaped ? Buffer.from([piece.charCodeAt(0) - 0xdc00]) : Buffer.from(piece, "utf8"));
  }
  return Buffer.concat(parts);
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}

/** What a vector spells, in JavaScript's types. */
export function fromSpelling(spelt) {
  if (Array.isArray(spelt)) return spelt.map(fromSpelling);
  if (!isObject(spelt)) return spelt;
  const entries = Object.entries(spelt);
  const [[key, item] = []] = entries;
  if (entries.length === 1 && typeof item === "string") {
    if (key === "hex") return new Uint8Array(Buffer.from(item, "hex"));
    if (key === "text") return textOf(Buffer.from(item, "hex"));
    if (key === "int") return BigInt(item);
  }
  return Object.fromEntries(entries.map(([name, value]) => [name, fromSpelling(value)]));
}

/** The reverse: a result in the spelling of vectors, ready for JSON.stringify. */
export function spell(value) {
  switch (typeof value) {
    case "undefined":
      return null;
    case "string":
      return spellText(value);
    case "bigint":
      return { int: String(value) };
    case "number":
    case "boolean":
      return value;
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) return { hex: Buffer.from(value).toString("hex") };
  if (value instanceof MultiMap || value instanceof Query) {
    return { pairs: [...value].map(([name, item]) => [spell(name), spell(item)]), truncated: value.truncated };
  }
  if (Array.isArray(value)) return value.map(spell);
  if (typeof value !== "object") throw new TypeError(`${String(value)} has no spelling`);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, spell(item)]));
}

function spellText(text) {
  return /[\ud800-\udfff]/u.test(text) ? { text: bytesOf(text).toString("hex") } : text;
}
