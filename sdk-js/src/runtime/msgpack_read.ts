import { MAX_DEPTH } from "./msgpack_write.js";
import { decodeText } from "./text.js";

/** Bytes that are not the MessagePack that was expected. */
export class BadFrame extends Error {}

/*
 * Functions take a buffer and a position and do not read behind the end of the frame by more than the buffer holds: skip checks
 * the end, so a walk that stays inside what skip accepted is inside the frame.
 */

/** By first byte: the size of a value that always has the same; 0 for others. */
const SIZES = new Uint8Array(256).map((_, b) => {
  if (b < 0x80 || b >= 0xe0 || b === 0xc0 || b === 0xc2 || b === 0xc3) return 1;
  if (b >= 0xa0 && b < 0xc0) return 1 + (b & 0x1f); // fixstr
  if (b >= 0xd4 && b <= 0xd8) return 2 + (1 << (b - 0xd4)); // fixext
  if (b === 0xca) return 5; // float32
  if (b === 0xcb) return 9; // float64
  if (b >= 0xcc && b <= 0xcf) return 1 + (1 << (b - 0xcc)); // uint
  return b >= 0xd0 && b <= 0xd3 ? 1 + (1 << (b - 0xd0)) : 0; // int
});

/** Position behind the value at pos. @throws BadFrame when it does not end before end. */
export function skip(buf: Buffer, pos: number, end: number): number {
  let left = 1; // values still to skip
  let p = pos;
  do {
    if (p >= end) throw new BadFrame("frame ends inside a value");
    const b = buf[p] as number;
    const size = SIZES[b] as number;
    left--;
    if (size > 0) {
      p += size;
    } else if (b === 0xc4 || b === 0xd9) {
      p += 2 + ((buf[p + 1] as number) | 0); // behind the end of the buffer it is 0, and the end is found below
    } else if (b < 0x90) {
      p++;
      left += 2 * (b & 0x0f);
    } else if (b < 0xa0) {
      p++;
      left += b & 0x0f;
    } else if (b >= 0xdc) {
      const wide = (b & 1) === 1; // array32, map32
      left += (wide ? length32(buf, p, end) : length16(buf, p, end)) * (b >= 0xde ? 2 : 1);
      p += wide ? 5 : 3;
    } else {
      p = skipLong(buf, p, end, b);
    }
  } while (left > 0);
  if (p > end) throw new BadFrame("frame ends inside a value");
  return p;
}

/** Position behind a str, bin or ext whose head gives a length. */
function skipLong(buf: Buffer, p: number, end: number, b: number): number {
  switch (b) {
    case 0xc5:
    case 0xda:
      return p + 3 + length16(buf, p, end);
    case 0xc6:
    case 0xdb:
      return p + 5 + length32(buf, p, end);
    case 0xc7:
      return p + 3 + length8(buf, p, end);
    case 0xc8:
      return p + 4 + length16(buf, p, end);
    case 0xc9:
      return p + 6 + length32(buf, p, end);
    default:
      throw new BadFrame(`byte 0x${b.toString(16)} starts no value`);
  }
}

function length8(buf: Buffer, p: number, end: number): number {
  if (p + 2 > end) throw new BadFrame("frame ends inside a value");
  return buf[p + 1] as number;
}

function length16(buf: Buffer, p: number, end: number): number {
  if (p + 3 > end) throw new BadFrame("frame ends inside a value");
  return ((buf[p + 1] as number) << 8) | (buf[p + 2] as number);
}

function length32(buf: Buffer, p: number, end: number): number {
  if (p + 5 > end) throw new BadFrame("frame ends inside a value");
  return buf.readUInt32BE(p + 1);
}

/**
 * Places of the extensions in a body, with the bytes that came ahead in chunks for each, in order of position.
 *
 * @throws BadFrame when the chunks and the announced lengths differ.
 */
export function placeChunks(buf: Buffer, start: number, end: number, gathered: Buffer): Map<number, Buffer> {
  const places = new Map<number, Buffer>();
  let taken = 0;
  let p = start;
  while (p < end) {
    const b = buf[p] as number;
    const size = containerHead(b);
    if (size > 0) {
      p += size; // step into it
      continue;
    }
    const next = skip(buf, p, end);
    const at = b === 0xd7 ? p + 1 : b === 0xc7 && buf[p + 1] === 8 ? p + 2 : 0; // of the type byte
    if (at > 0 && buf[at] === 1) {
      const length = safe(buf.readBigUInt64BE(at + 1));
      if (typeof length !== "number" || taken + length > gathered.length) {
        throw new BadFrame(`bytes of length ${length} announced, ${gathered.length - taken} came in chunks`);
      }
      places.set(p, gathered.subarray(taken, taken + length));
      taken += length;
    }
    p = next;
  }
  if (taken !== gathered.length)
    throw new BadFrame(`${gathered.length - taken} bytes came in chunks and have no place`);
  return places;
}

/** Size of the head of a list or map; 0 for other values. */
function containerHead(b: number): number {
  if (b >= 0x80 && b < 0xa0) return 1;
  if (b === 0xdc || b === 0xde) return 3;
  return b === 0xdd || b === 0xdf ? 5 : 0;
}

/** Position of the first byte of the str or bin at pos. */
export function textStart(buf: Buffer, pos: number): number {
  const b = buf[pos] as number;
  if (b >= 0xa0 && b < 0xc0) return pos + 1;
  switch (b) {
    case 0xc4:
    case 0xd9:
      return pos + 2;
    case 0xc5:
    case 0xda:
      return pos + 3;
    case 0xc6:
    case 0xdb:
      return pos + 5;
    default:
      throw new BadFrame(`expected text, found byte 0x${b.toString(16)}`);
  }
}

/** Position behind the str or bin whose first byte is at start and whose head is at pos; head and text are inside the buffer. */
export function textEnd(buf: Buffer, pos: number, start: number): number {
  switch (start - pos) {
    case 1:
      return start + ((buf[pos] as number) & 0x1f);
    case 2:
      return start + (buf[pos + 1] as number);
    case 3:
      return start + (((buf[pos + 1] as number) << 8) | (buf[pos + 2] as number));
    default:
      return start + buf.readUInt32BE(pos + 1);
  }
}

/** Reads the values of one body in order. */
export class Reader {
  readonly buf: Buffer;
  readonly end: number;
  pos: number;
  /** What came ahead in chunks, by the position of its place. */
  readonly #places: ReadonlyMap<number, Buffer> | null;

  constructor(buf: Buffer, pos = 0, end = buf.length, places: ReadonlyMap<number, Buffer> | null = null) {
    this.buf = buf;
    this.pos = pos;
    this.end = end;
    this.#places = places;
  }

  #byte(): number {
    if (this.pos >= this.end) throw new BadFrame("frame ends inside a value");
    return this.buf[this.pos++] as number;
  }

  #span(n: number): number {
    const at = this.pos;
    if (at + n > this.end) throw new BadFrame("frame ends inside a value");
    this.pos = at + n;
    return at;
  }

  /** Whether a nil stands here; it is taken then. */
  nil(): boolean {
    if (this.pos < this.end && this.buf[this.pos] !== 0xc0) return false;
    this.#byte();
    return true;
  }

  bool(): boolean {
    const b = this.#byte();
    if (b === 0xc3) return true;
    if (b === 0xc2 || b === 0xc0) return false;
    throw new BadFrame(`expected a boolean, found byte 0x${b.toString(16)}`);
  }

  /** An unsigned integer; above 2^53-1 a BigInt. */
  id(): number | bigint {
    const b = this.#byte();
    const v = b === 0xc0 ? 0 : (this.#integer(b) ?? this.#wholeFloat(b));
    if (v === undefined || v < 0) throw new BadFrame(`expected an unsigned integer, found byte 0x${b.toString(16)}`);
    return v;
  }

  /** An unsigned integer up to 2^53-1. */
  uint(): number {
    const v = this.id();
    if (typeof v === "bigint") throw new BadFrame(`integer ${v} is too large here`);
    return v;
  }

  #integer(b: number): number | bigint | undefined {
    const buf = this.buf;
    if (b < 0x80) return b;
    if (b >= 0xe0) return b - 0x100;
    switch (b) {
      case 0xcc:
        return this.#byte();
      case 0xcd:
        return buf.readUInt16BE(this.#span(2));
      case 0xce:
        return buf.readUInt32BE(this.#span(4));
      case 0xcf:
        return safe(buf.readBigUInt64BE(this.#span(8)));
      case 0xd0:
        return buf.readInt8(this.#span(1));
      case 0xd1:
        return buf.readInt16BE(this.#span(2));
      case 0xd2:
        return buf.readInt32BE(this.#span(4));
      case 0xd3:
        return safe(buf.readBigInt64BE(this.#span(8)));
      default:
        return undefined;
    }
  }

  /** A float without a fraction: some languages have no other numbers. */
  #wholeFloat(b: number): number | undefined {
    if (b !== 0xca && b !== 0xcb) return undefined;
    const v = b === 0xca ? this.buf.readFloatBE(this.#span(4)) : this.buf.readDoubleBE(this.#span(8));
    return Number.isSafeInteger(v) ? v : undefined;
  }

  /** Number of items of an array; nil counts as an empty one. */
  array(): number {
    const b = this.#byte();
    if (b >= 0x90 && b < 0xa0) return b & 0x0f;
    if (b === 0xdc) return this.#count(this.buf.readUInt16BE(this.#span(2)));
    if (b === 0xdd) return this.#count(this.buf.readUInt32BE(this.#span(4)));
    if (b === 0xc0) return 0;
    throw new BadFrame(`expected an array, found byte 0x${b.toString(16)}`);
  }

  /** A number of items that the rest of the body can hold. */
  #count(n: number): number {
    if (n > this.end - this.pos) throw new BadFrame(`${n} elements claimed in ${this.end - this.pos} bytes`);
    return n;
  }

  /** Number of entries of a map; nil counts as an empty one. */
  map(): number {
    const b = this.#byte();
    if (b >= 0x80 && b < 0x90) return b & 0x0f;
    if (b === 0xde) return this.#count(this.buf.readUInt16BE(this.#span(2)));
    if (b === 0xdf) return this.#count(this.buf.readUInt32BE(this.#span(4)));
    if (b === 0xc0) return 0;
    throw new BadFrame(`expected a map, found byte 0x${b.toString(16)}`);
  }

  /** Length of the str or bin here, the position is then at its first byte; -1 when there is neither. */
  #textLength(b: number): number {
    if (b >= 0xa0 && b < 0xc0) return b & 0x1f;
    switch (b) {
      case 0xc4:
      case 0xd9:
        return this.#byte();
      case 0xc5:
      case 0xda:
        return this.buf.readUInt16BE(this.#span(2));
      case 0xc6:
      case 0xdb:
        return this.buf.readUInt32BE(this.#span(4));
      default:
        return -1;
    }
  }

  /** A str or bin as text; nil is the empty text. */
  text(): string {
    const b = this.#byte();
    if (b === 0xc0) return "";
    if (isExt(b)) {
      const bytes = this.#ext();
      return decodeText(bytes, 0, bytes.length);
    }
    const n = this.#textLength(b);
    if (n < 0) throw new BadFrame(`expected text, found byte 0x${b.toString(16)}`);
    const at = this.#span(n);
    return decodeText(this.buf, at, at + n);
  }

  /** A str or bin as bytes; nil is null. The bytes belong to the frame. */
  bytes(): Buffer | null {
    const b = this.#byte();
    if (b === 0xc0) return null;
    if (isExt(b)) return this.#ext();
    const n = this.#textLength(b);
    if (n < 0) throw new BadFrame(`expected bytes, found byte 0x${b.toString(16)}`);
    const at = this.#span(n);
    return this.buf.subarray(at, at + n);
  }

  /** The raw MessagePack of the value here. */
  raw(): Buffer {
    const at = this.pos;
    this.pos = skip(this.buf, at, this.end);
    return this.buf.subarray(at, this.pos);
  }

  skip(): void {
    this.pos = skip(this.buf, this.pos, this.end);
  }

  /** Passes over what a newer peer has added to a message. @throws BadFrame when the message does not end with it. */
  finish(added: number): void {
    for (let i = 0; i < added; i++) this.skip();
    if (this.pos !== this.end) throw new BadFrame(`${this.end - this.pos} bytes behind the end of a message`);
  }

  /** An extension, whose first byte was just read: type 1 stands for bytes that came ahead in chunks. */
  #ext(): Buffer {
    const at = this.pos - 1;
    this.pos = skip(this.buf, at, this.end);
    const bytes = this.#places?.get(at);
    if (bytes === undefined) throw new BadFrame("an extension that stands for no chunks");
    return bytes;
  }

  /** A free value; maps become plain objects, integers beyond 2^53 BigInt, bin Uint8Array. */
  value(depth = 0): unknown {
    if (depth > MAX_DEPTH) throw new BadFrame(`nesting deeper than ${MAX_DEPTH}`);
    const b = this.#byte();
    const integer = this.#integer(b);
    if (integer !== undefined) return integer;
    if ((b >= 0xa0 && b < 0xc0) || (b >= 0xd9 && b <= 0xdb)) {
      const n = this.#textLength(b);
      const at = this.#span(n);
      return decodeText(this.buf, at, at + n);
    }
    if ((b >= 0x90 && b < 0xa0) || b === 0xdc || b === 0xdd) {
      this.pos--;
      return this.#list(depth);
    }
    if ((b >= 0x80 && b < 0x90) || b === 0xde || b === 0xdf) {
      this.pos--;
      return this.#record(depth);
    }
    switch (b) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xca:
        return this.buf.readFloatBE(this.#span(4));
      case 0xcb:
        return this.buf.readDoubleBE(this.#span(8));
      case 0xc4:
      case 0xc5:
      case 0xc6: {
        const n = this.#textLength(b);
        const at = this.#span(n);
        return new Uint8Array(this.buf.subarray(at, at + n));
      }
      default:
        if (isExt(b)) return plainBytes(this.#ext()); // gathered for this place alone: no copy is needed
        throw new BadFrame(`byte 0x${b.toString(16)} starts no value`);
    }
  }

  #list(depth: number): unknown[] {
    const n = this.array();
    const list: unknown[] = [];
    for (let i = 0; i < n; i++) list.push(this.value(depth + 1));
    return list;
  }

  #record(depth: number): Record<string, unknown> {
    const n = this.map();
    const record: Record<string, unknown> = {};
    for (let i = 0; i < n; i++) {
      const key = this.text();
      const value = this.value(depth + 1);
      if (key === "__proto__") {
        Object.defineProperty(record, key, { value, enumerable: true, configurable: true, writable: true });
      } else {
        record[key] = value;
      }
    }
    return record;
  }
}

/** The same bytes as a Uint8Array that is no Buffer. */
export function plainBytes(buf: Buffer): Uint8Array {
  return new Uint8Array(buf.buffer, buf.byteOffset, buf.length);
}

/** Whether an extension begins with that byte. */
export function isExt(b: number): boolean {
  return (b >= 0xc7 && b <= 0xc9) || (b >= 0xd4 && b <= 0xd8);
}

function safe(v: bigint): number | bigint {
  return v <= BigInt(Number.MAX_SAFE_INTEGER) && v >= BigInt(Number.MIN_SAFE_INTEGER) ? Number(v) : v;
}

/** One free value. @throws BadFrame when the bytes are not exactly one value. */
export function decodeValue(bytes: Uint8Array): unknown {
  const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const reader = new Reader(buf);
  const value = reader.value();
  if (reader.pos !== buf.length) throw new BadFrame("bytes behind the value");
  return value;
}
