import { isEncodable, maxTextLength, writeText } from "./text.js";

/** A value that MessagePack cannot hold. */
export class UnsupportedValue extends Error {}

/** Deepest nesting of a free value, written or read. */
export const MAX_DEPTH = 64;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

/**
 * Appends MessagePack to a slab. What was written since the last take is in buf[start, pos); slabs are not written again
 * after a take gave a piece of them away, unless reuse says that they may be.
 */
export class Writer {
  buf: Buffer;
  start = 0;
  pos = 0;
  readonly #slab: number;

  constructor(slab = 64 << 10) {
    this.#slab = slab;
    this.buf = Buffer.allocUnsafeSlow(slab);
  }

  /** Makes room for n more bytes. */
  ensure(n: number): void {
    if (this.pos + n > this.buf.length) this.#grow(n);
  }

  #grow(n: number): void {
    const kept = this.pos - this.start;
    const buf = Buffer.allocUnsafeSlow(Math.max(this.#slab, 2 * (kept + n)));
    this.buf.copy(buf, 0, this.start, this.pos);
    this.buf = buf;
    this.start = 0;
    this.pos = kept;
  }

  /** Gives away what was written since the last take. The bytes are not touched again. */
  take(): Buffer {
    const taken = this.buf.subarray(this.start, this.pos);
    this.start = this.pos;
    return taken;
  }

  /** Nobody reads any more what was taken: the slab is written again from its start. */
  reuse(): void {
    if (this.pos === this.start) {
      this.start = 0;
      this.pos = 0;
    }
  }

  u8(v: number): void {
    this.ensure(1);
    this.buf[this.pos++] = v;
  }

  nil(): void {
    this.u8(0xc0);
  }

  bool(v: boolean): void {
    this.u8(v ? 0xc3 : 0xc2);
  }

  /** An integer from 0 to 2^53-1. */
  uint(v: number): void {
    this.ensure(9);
    const buf = this.buf;
    if (v < 0x80) {
      buf[this.pos++] = v;
    } else if (v < 0x100) {
      buf[this.pos++] = 0xcc;
      buf[this.pos++] = v;
    } else if (v < 0x10000) {
      buf[this.pos++] = 0xcd;
      buf[this.pos++] = v >> 8;
      buf[this.pos++] = v;
    } else if (v < 0x100000000) {
      buf[this.pos++] = 0xce;
      this.pos = buf.writeUInt32BE(v, this.pos);
    } else {
      buf[this.pos++] = 0xcf;
      this.pos = buf.writeUInt32BE(Math.floor(v / 0x100000000), this.pos);
      this.pos = buf.writeUInt32BE(v >>> 0, this.pos);
    }
  }

  /** Any number; integers up to 2^53 as integers. */
  number(v: number): void {
    if (Number.isSafeInteger(v) && !Object.is(v, -0)) {
      if (v >= 0) {
        this.uint(v);
        return;
      }
      this.ensure(9);
      const buf = this.buf;
      if (v >= -32) {
        buf[this.pos++] = v;
      } else if (v >= -128) {
        buf[this.pos++] = 0xd0;
        this.pos = buf.writeInt8(v, this.pos);
      } else if (v >= -32768) {
        buf[this.pos++] = 0xd1;
        this.pos = buf.writeInt16BE(v, this.pos);
      } else if (v >= -2147483648) {
        buf[this.pos++] = 0xd2;
        this.pos = buf.writeInt32BE(v, this.pos);
      } else {
        buf[this.pos++] = 0xd3;
        this.pos = buf.writeBigInt64BE(BigInt(v), this.pos);
      }
      return;
    }
    this.float(v);
  }

  /** A number as float64, even when it is whole. */
  float(v: number): void {
    this.ensure(9);
    this.buf[this.pos++] = 0xcb;
    this.pos = this.buf.writeDoubleBE(v, this.pos);
  }

  /** @throws UnsupportedValue outside -2^63 to 2^64-1. */
  bigint(v: bigint): void {
    if (v >= BigInt(Number.MIN_SAFE_INTEGER) && v <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.number(Number(v));
      return;
    }
    if (v < INT64_MIN || v > UINT64_MAX) throw new UnsupportedValue(`integer ${v} does not fit 64 bits`);
    this.ensure(9);
    if (v > 0n) {
      this.buf[this.pos++] = 0xcf;
      this.pos = this.buf.writeBigUInt64BE(v, this.pos);
    } else {
      this.buf[this.pos++] = 0xd3;
      this.pos = this.buf.writeBigInt64BE(v, this.pos);
    }
  }

  /** A number or a BigInt that is an unsigned integer. */
  id(v: number | bigint): void {
    if (typeof v === "number") this.uint(v);
    else this.bigint(v);
  }

  str(text: string): void {
    this.#text(text, 0xa0, 32, 0xd9);
  }

  /** The bytes of a text as bin. */
  binText(text: string): void {
    this.#text(text, 0, 0, 0xc4);
  }

  /** Writes the text behind a header whose size is guessed from the number of characters and moved when the guess was wrong. */
  #text(text: string, fix: number, fixLimit: number, code8: number): void {
    const n = text.length;
    this.ensure(maxTextLength(text) + 5);
    const at = this.pos;
    let head = headSize(n, fixLimit);
    const end = writeText(this.buf, at + head, text);
    const bytes = end - at - head;
    const actual = headSize(bytes, fixLimit);
    if (actual !== head) {
      this.buf.copyWithin(at + actual, at + head, end);
      head = actual;
    }
    this.pos = at;
    this.#head(bytes, head, fix, code8);
    this.pos += bytes;
  }

  #head(n: number, head: number, fix: number, code8: number): void {
    const buf = this.buf;
    if (head === 1) {
      buf[this.pos++] = fix | n;
    } else if (head === 2) {
      buf[this.pos++] = code8;
      buf[this.pos++] = n;
    } else if (head === 3) {
      buf[this.pos++] = code8 + 1;
      buf[this.pos++] = n >> 8;
      buf[this.pos++] = n;
    } else {
      buf[this.pos++] = code8 + 2;
      this.pos = buf.writeUInt32BE(n, this.pos);
    }
  }

  bin(bytes: Uint8Array): void {
    this.ensure(bytes.length + 5);
    this.#head(bytes.length, headSize(bytes.length, 0), 0, 0xc4);
    this.buf.set(bytes, this.pos);
    this.pos += bytes.length;
  }

  /** Bytes that are MessagePack already. */
  raw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buf.set(bytes, this.pos);
    this.pos += bytes.length;
  }

  array(n: number): void {
    this.#container(n, 0x90, 0xdc);
  }

  map(n: number): void {
    this.#container(n, 0x80, 0xde);
  }

  #container(n: number, fix: number, code16: number): void {
    this.ensure(5);
    const buf = this.buf;
    if (n < 16) {
      buf[this.pos++] = fix | n;
    } else if (n < 0x10000) {
      buf[this.pos++] = code16;
      buf[this.pos++] = n >> 8;
      buf[this.pos++] = n;
    } else {
      buf[this.pos++] = code16 + 1;
      this.pos = buf.writeUInt32BE(n, this.pos);
    }
  }

  /** The place of bytes that travel ahead in chunks. */
  chunked(length: number): void {
    this.ensure(10);
    this.buf[this.pos++] = 0xd7; // fixext 8
    this.buf[this.pos++] = 1;
    this.pos = this.buf.writeBigUInt64BE(BigInt(length), this.pos);
  }

  /**
   * A free value: null, boolean, number, bigint, string, bytes, array, plain object or Map with text keys. Undefined is null in
   * an array and leaves out its key in an object.
   *
   * @throws UnsupportedValue for anything else, and for nesting deeper than MAX_DEPTH.
   */
  value(v: unknown, depth = 0): void {
    switch (typeof v) {
      case "undefined":
        this.nil();
        return;
      case "boolean":
        this.bool(v);
        return;
      case "number":
        this.number(v);
        return;
      case "bigint":
        this.bigint(v);
        return;
      case "string":
        if (!isEncodable(v)) throw new UnsupportedValue("text with a lone surrogate");
        this.str(v);
        return;
      case "object":
        if (v === null) this.nil();
        else this.#object(v, depth);
        return;
      default:
        throw new UnsupportedValue(`a ${typeof v}`);
    }
  }

  #object(v: object, depth: number): void {
    if (v instanceof Uint8Array) {
      this.bin(v);
      return;
    }
    if (depth >= MAX_DEPTH) throw new UnsupportedValue(`nesting deeper than ${MAX_DEPTH}`);
    if (Array.isArray(v)) {
      this.array(v.length);
      for (const item of v) this.value(item, depth + 1);
    } else if (v instanceof Map) {
      this.#entries([...v], depth);
    } else if (isPlainObject(v)) {
      this.#entries(Object.entries(v), depth);
    } else {
      throw new UnsupportedValue(`an object of class ${v.constructor?.name ?? "unknown"}`);
    }
  }

  #entries(all: [unknown, unknown][], depth: number): void {
    const entries = all.filter(([, value]) => value !== undefined);
    this.map(entries.length);
    for (const [key, value] of entries) {
      if (typeof key !== "string") throw new UnsupportedValue(`a map key of type ${typeof key}`);
      this.value(key);
      this.value(value, depth + 1);
    }
  }
}

function headSize(n: number, fixLimit: number): number {
  if (n < fixLimit) return 1;
  if (n < 0x100) return 2;
  return n < 0x10000 ? 3 : 5;
}

/** Whether v was made by an object literal, JSON or Object.create(null). */
export function isPlainObject(v: unknown): v is Record<string, unknown> {
  if (typeof v !== "object" || v === null) return false;
  const proto: unknown = Object.getPrototypeOf(v);
  return proto === null || proto === Object.prototype || Object.getPrototypeOf(proto) === null;
}

/** The MessagePack bytes of one free value, in a buffer of their own. @throws UnsupportedValue */
export function encodeValue(v: unknown): Buffer {
  const writer = new Writer(256);
  writer.value(v);
  return writer.take();
}
