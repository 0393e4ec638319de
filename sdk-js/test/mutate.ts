/*
 * Makes inputs for fuzzing: bytes of MessagePack, of protobuf and of frames, changed in places that matter. Everything random comes from the
 * Random that is given, so that a seed repeats a run. Mutators take any bytes and never throw.
 */

/** Most bytes of an input, so that one execution stays short. */
export const MAX_INPUT = 1 << 17;

/** Makes an input of another one and of the corpus. */
export type Mutator = (rng: Random, data: Buffer, corpus: readonly Buffer[]) => Buffer;

/** Numbers of a seed: mulberry32. */
export class Random {
  #state: number;

  constructor(seed: string) {
    let hash = 2166136261;
    for (let i = 0; i < seed.length; i++) hash = Math.imul(hash ^ seed.charCodeAt(i), 16777619);
    this.#state = hash >>> 0;
  }

  /** From 0 to below 1. */
  float(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }

  /** A whole number from 0 to below n. */
  below(n: number): number {
    return Math.floor(this.float() * n);
  }

  /** One of a list; the list has one at least. */
  pick<T>(list: ArrayLike<T>): T {
    return list[this.below(list.length)] as T;
  }

  bytes(n: number): Buffer {
    return Buffer.from(Array.from({ length: n }, () => this.below(256)));
  }
}

/** Values, and what looks like one, that a reader may trip over. */
const VALUES =
  `c0 c2 c3 00 7f ff e0 ccff cdffff ceffffffff cfffffffffffffffff cf8000000000000000 d080 d18000 d280000000 d38000000000000000
  ca7fc00000 ca7f800000 cb7ff8000000000000 cb7ff0000000000000 cb4008000000000000 cbc3e0000000000000 cb43f0000000000000 a0 a161 a3eda080 a2fffe
  a95f5f70726f746f5f5f ab636f6e7374727563746f72 c400 c4026162 c5000161 c60000000161 d90161 da000161 db0000000161 90 91c0 92a161a162 dc0000
  ddffffffff dd00000000 80 81a161c0 82a16101a16102 8190c0 8180c0 81c0c0 8101c0 81c40161c0 81a95f5f70726f746f5f5f80 de0000 dfffffffff d40100
  d7010000000000000000 d701ffffffffffffffff d7010000000000000003 c708010000000000000003 c70001 d6ff00000000 c1`
    .split(/\s+/)
    .map((hex) => Buffer.from(hex, "hex"));

const NUMBERS = [
  0, 1, 2, 7, 0x7f, 0x80, 0xff, 0x100, 0xfff, 0x1000, 0x7fff, 0xffff, 0x10000, 0xffffff, 0x1000000, 0x1000001,
  0x7fffffff, 0xffffffff,
];
const BYTES = [0, 1, 0x7f, 0x80, 0xc0, 0xc1, 0xdc, 0xdd, 0xdf, 0xff];

/** Puts something in the place of the bytes from start to end. */
function splice(data: Buffer, start: number, end: number, ...between: Buffer[]): Buffer {
  return Buffer.concat([data.subarray(0, start), ...between, data.subarray(end)]).subarray(0, MAX_INPUT);
}

/** Changes bytes without a thought for what they mean. */
export const someBytes: Mutator = (rng, data, corpus) => {
  let out = data;
  for (let i = rng.below(4); i >= 0; i--) {
    const at = rng.below(out.length + 1);
    switch (rng.below(9)) {
      case 0:
        if (at < out.length) out = splice(out, at, at + 1, Buffer.of((out[at] as number) ^ (1 << rng.below(8))));
        break;
      case 1:
        if (at < out.length) out = splice(out, at, at + 1, Buffer.of(rng.pick([...BYTES, rng.below(256)])));
        break;
      case 2:
        out = splice(out, at, at, rng.bytes(1 + rng.below(8)));
        break;
      case 3:
        out = splice(out, at, at + 1 + rng.below(16));
        break;
      case 4:
        out = splice(out, at, at, out.subarray(at, at + 1 + rng.below(64)));
        break;
      case 5: {
        const other = corpus.length > 0 ? rng.pick(corpus) : out;
        const from = rng.below(other.length + 1);
        out = splice(out, at, at + rng.below(16), other.subarray(from, from + 1 + rng.below(64)));
        break;
      }
      case 6: {
        const number = Buffer.alloc(4);
        number.writeUInt32BE(rng.pick(NUMBERS));
        const width = rng.pick([1, 2, 4]);
        out = splice(out, at, at + width, number.subarray(4 - width));
        break;
      }
      case 7:
        out = out.subarray(0, at);
        break;
      default:
        out = splice(out, at, at, rng.pick(VALUES));
    }
  }
  return out;
};

type Span = [start: number, end: number];

/** Where the MessagePack values of some bytes begin and end, those inside others too, as far as the bytes make sense. */
export function spans(data: Buffer): Span[] {
  const found: Span[] = [];
  const open: [index: number, left: number][] = [];
  let at = 0;
  while (at < data.length && found.length < 4096) {
    const span: Span = [at, at];
    found.push(span);
    const [size, items] = head(data, at);
    at += size;
    if (at > data.length) {
      found.pop();
      break;
    }
    if (items > 0) {
      open.push([found.length - 1, items]);
      continue;
    }
    span[1] = at;
    for (let last = open.at(-1); last !== undefined && --last[1] === 0; last = open.at(-1)) {
      (found[last[0]] as Span)[1] = at;
      open.pop();
    }
  }
  return found.filter(([start, end]) => end > start);
}

const FIXED: Readonly<Record<number, number>> = {
  202: 5, 203: 9, 204: 2, 205: 3, 206: 5, 207: 9, 208: 2, 209: 3, 210: 5, 211: 9, 212: 3, 213: 4, 214: 6, 215: 10, 216: 18,
}; // biome-ignore format: a table
const LENGTHS: Readonly<Record<number, number>> = {
  196: 1, 197: 2, 198: 4, 199: 1, 200: 2, 201: 4, 217: 1, 218: 2, 219: 4, 220: 2, 221: 4, 222: 2, 223: 4,
}; // biome-ignore format: a table

/** Bytes of a scalar, or of the head of a list or map with the number of values in it. */
function head(data: Buffer, at: number): [size: number, items: number] {
  const code = data[at] as number;
  if (code >= 0x80 && code < 0x90) return [1, 2 * (code & 15)];
  if (code >= 0x90 && code < 0xa0) return [1, code & 15];
  if (code >= 0xa0 && code < 0xc0) return [1 + (code & 31), 0];
  const fixed = FIXED[code];
  if (fixed !== undefined) return [fixed, 0];
  const width = LENGTHS[code];
  if (width === undefined) return [1, 0];
  if (at + 1 + width > data.length) return [1 + width, 0];
  const number = data.readUIntBE(at + 1, width);
  if (code >= 0xdc) return [1 + width, Math.min(number * (code >= 0xde ? 2 : 1), 1 << 20)];
  return [1 + width + number + (code >= 0xc7 && code <= 0xc9 ? 1 : 0), 0];
}

/** Puts another value in the place of one, or changes bytes. */
export const msgpack: Mutator = (rng, data, corpus) => {
  const places = spans(data);
  if (places.length === 0 || rng.float() < 0.3) return someBytes(rng, data, corpus);
  const [start, end] = rng.pick(places);
  let other = data;
  switch (rng.below(6)) {
    case 0:
      break;
    case 1:
      if (corpus.length > 0) other = rng.pick(corpus);
      break;
    case 2: {
      const depth = rng.pick([1, 31, 63, 64, 65, 127, 128, 129, 1000, 20000]);
      const heads = rng.pick(["91", "81a161", "81c40162"]).repeat(depth);
      return splice(data, start, start, Buffer.from(heads, "hex"));
    }
    default:
      return splice(data, start, end, rng.pick(VALUES));
  }
  const donors = spans(other);
  const [first, last] = donors.length > 0 ? rng.pick(donors) : [0, 0];
  return splice(data, start, end, other.subarray(first, last));
};

/** The frames of a stream, the last one as long as it is. */
export function framesOf(data: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < data.length && found.length < 256; ) {
    const length = data.length - at >= 16 ? data.readUInt32BE(at) : data.length;
    found.push(data.subarray(at, at + 16 + length));
    at += 16 + length;
  }
  return found;
}

/** Changes the body or the header of a frame, the order of the frames, or bytes. */
export const stream: Mutator = (rng, data, corpus) => {
  const frames = framesOf(data);
  if (frames.length === 0 || rng.float() < 0.1) return someBytes(rng, data, corpus);
  const at = rng.below(frames.length);
  const frame = frames[at] as Buffer;
  const others = corpus.length > 0 ? framesOf(rng.pick(corpus)) : [];
  const choice = rng.below(10);
  if (choice === 0) frames.splice(rng.below(frames.length + 1), 0, frame);
  else if (choice === 1) frames.splice(at, 1);
  else if (choice === 2 && others.length > 0) frames.splice(at, 0, rng.pick(others));
  else if (frame.length < 16) frames[at] = someBytes(rng, frame, corpus);
  else if (choice === 3) {
    const changed = Buffer.from(frame);
    changed.writeUInt32BE(rng.pick([changed.readUInt32BE(4), 0, 1, 2, 7, 0xffffffff]), 4);
    changed[8] = rng.pick([changed[8] as number, rng.below(12), 0, 255]);
    if (rng.below(4) === 0) changed.writeUInt32BE(rng.pick(NUMBERS), 0);
    frames[at] = changed;
  } else {
    const body = msgpack(
      rng,
      frame.subarray(16),
      others.map((other) => other.subarray(16)),
    );
    const header = Buffer.from(frame.subarray(0, 16));
    header.writeUInt32BE(body.length, 0);
    frames[at] = Buffer.concat([header, body]);
  }
  return Buffer.concat(frames).subarray(0, MAX_INPUT);
};

// Protobuf, without its descriptors: a message is fields, and some of those that have a length are messages again.

interface ProtoField {
  /** As it stands. */
  readonly key: Buffer;
  readonly kind: number;
  /** Without its length. */
  readonly content: Buffer;
}

/** Position behind a varint; -1 when it does not end. */
function varint(data: Buffer, from: number): number {
  for (let at = from; at < data.length; at++) if ((data[at] as number) < 0x80) return at + 1;
  return -1;
}

/** The fields of a message; null when the bytes are none. */
function fieldsOf(data: Buffer): ProtoField[] | null {
  const found: ProtoField[] = [];
  for (let at = 0; at < data.length; ) {
    const end = varint(data, at);
    if (end < 0) return null;
    const kind = (data[at] as number) & 7;
    let start = end;
    let next = -1;
    if (kind === 0) next = varint(data, end);
    else if (kind === 1 || kind === 5) next = end + (kind === 1 ? 8 : 4);
    else if (kind === 2) {
      start = varint(data, end);
      if (start < 0) return null;
      let size = 0;
      for (let i = start - 1; i >= end; i--) size = size * 128 + ((data[i] as number) & 0x7f);
      next = start + size;
    }
    if (next < 0 || next > data.length) return null;
    found.push({ key: data.subarray(at, end), kind, content: data.subarray(start, next) });
    at = next;
  }
  return found;
}

function written(number: bigint): Buffer {
  const out: number[] = [];
  let rest = number;
  for (; rest >= 0x80n; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  out.push(Number(rest));
  return Buffer.from(out);
}

/** Changes a field of a message, or of one inside it, or bytes. Lengths around it stay right. */
export const protobuf: Mutator = (rng, data, corpus) => {
  const fields = fieldsOf(data);
  if (fields === null || fields.length === 0 || rng.float() < 0.05) return someBytes(rng, data, corpus);
  const at = rng.below(fields.length);
  const field = fields[at] as ProtoField;
  const others = (corpus.length > 0 ? fieldsOf(rng.pick(corpus)) : null) ?? [];
  const choice = rng.below(8);
  let content: Buffer | null = null;
  if (choice === 0) fields.splice(rng.below(fields.length + 1), 0, field);
  else if (choice === 1) fields.splice(at, 1);
  else if (choice === 2 && others.length > 0) fields.splice(at, 0, rng.pick(others));
  else if (field.kind === 0)
    content = written(rng.pick([...NUMBERS.map(BigInt), 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n]));
  else if (field.kind !== 2) content = rng.bytes(field.content.length);
  else if (field.content.length > 0 && fieldsOf(field.content) !== null && rng.float() < 0.8) {
    const inner = others.filter(({ kind }) => kind === 2).map((other) => other.content);
    content = protobuf(rng, field.content, inner);
  } else content = rng.pick([msgpack, someBytes])(rng, field.content, corpus);
  if (content !== null) fields[at] = { ...field, content };
  const parts = fields.flatMap((f) =>
    f.kind === 2 ? [f.key, written(BigInt(f.content.length)), f.content] : [f.key, f.content],
  );
  return Buffer.concat(parts).subarray(0, MAX_INPUT);
};

/** The messages of an input that holds several, each behind its length in four bytes. */
export function messagesOf(data: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 4 <= data.length && found.length < 256; ) {
    const end = at + 4 + data.readUInt32BE(at);
    found.push(data.subarray(at + 4, end));
    at = end;
  }
  return found;
}

/** Messages as one input. */
export function packed(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}

/** Changes one of several protobuf messages, or their order. */
export const messages: Mutator = (rng, data, corpus) => {
  const parts = messagesOf(data);
  if (parts.length === 0) return someBytes(rng, data, corpus);
  const at = rng.below(parts.length);
  const part = parts[at] as Buffer;
  const others = corpus.length > 0 ? messagesOf(rng.pick(corpus)) : [];
  const choice = rng.below(8);
  if (choice === 0) parts.splice(rng.below(parts.length + 1), 0, part);
  else if (choice === 1) parts.splice(at, 1);
  else if (choice === 2 && others.length > 0) parts.splice(at, 0, rng.pick(others));
  else parts[at] = protobuf(rng, part, others);
  return packed(parts).subarray(0, MAX_INPUT);
};

const JSON_PIECES = [
  "null", "[]", "{}", '""', '"\\ud800"', "1e999", "-0", "NaN", "Infinity", "1".repeat(5000), "[".repeat(2000), '{"a":'.repeat(2000),
  "18446744073709551616", '{"__proto__":{}}',
].map((text) => Buffer.from(text)); // biome-ignore format: a table

/** Changes text of JSON between its marks. */
export const json: Mutator = (rng, data, corpus) => {
  const marks = [...data.keys()].filter((i) => '{}[],:"'.includes(String.fromCharCode(data[i] as number)));
  if (marks.length === 0 || rng.float() < 0.3) return someBytes(rng, data, corpus);
  const [a, b] = [rng.pick(marks), rng.pick(marks)];
  const [start, end] = [Math.min(a, b), Math.max(a, b)];
  const piece = rng.pick([rng.pick(JSON_PIECES), data.subarray(start, end + 1), Buffer.alloc(0)]);
  return splice(data, start + 1, Math.max(end, start + 1), piece);
};
