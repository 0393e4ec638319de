import { BadFrame } from "./msgpack_read.js";

/** The newest protocol version of docs/wire.md that this SDK speaks. */
export const VERSION = 1;
/** The oldest one. */
export const MIN_VERSION = 1;

/**
 * The newest version that this SDK and a host of these versions speak; VERSION when there is none, which the host refuses. A host that
 * does not say its oldest version (0) speaks its newest alone.
 */
export function chooseVersion(oldest: number, newest: number): number {
  const version = Math.min(VERSION, newest);
  return version >= Math.max(MIN_VERSION, oldest || newest) ? version : VERSION;
}
export const HEADER_SIZE = 16;
/** Largest body of a frame, in bytes. */
export const MAX_FRAME = 16 << 20;
/** A larger bin travels ahead in chunks of at most this many bytes. */
export const CHUNK_SIZE = 32 << 10;
export const ENTITY_SLOTS = 4096;

/** Types of frames. */
export const FrameType = {
  hello: 1,
  call: 2,
  outcome: 3,
  ask: 4,
  answer: 5,
  chunk: 6,
  cancel: 7,
  log: 8,
  goaway: 9,
  entity: 10,
} as const;

/** What this SDK can do beyond version 1, bits of its hello's features: steps and prefetched answers; docs/wire.md section 4. */
export const FEATURES = 0b11;

/** Error codes that a server makes; docs/wire.md section 3. */
export const WireCode = {
  wrongPhase: "wrong_phase",
  handlerError: "handler_error",
  unknownInstance: "unknown_instance",
  notReady: "not_ready",
  badFrame: "bad_frame",
  tooLarge: "too_large",
  cancelled: "cancelled",
} as const;

/** A frame that has begun arrives within this time, in milliseconds, or its lane is closed: it holds up everything behind it. */
export const FRAME_MS = 10_000;

const NOTHING = Buffer.alloc(0);
/** Bytes that the beginning of a frame gets at first. */
const FIRST_ROOM = 4 << 10;
/** Bytes of room that are kept for the next frame: those of a chunk, not those of the longest frame. */
const KEPT_ROOM = 64 << 10;

/** Takes complete frames; the body is buf[start, end), which is valid until the sink returns. */
export type FrameSink = (type: number, callId: number, buf: Buffer, start: number, end: number) => void;

/**
 * Cuts what a socket brings into frames, however it is cut. Frames that lie in one piece are handed on in place, without a copy.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  /** A frame whose rest has not come yet is in the first #have bytes; they are #need when it is complete, or its header is. */
  #rest: Buffer = NOTHING;
  #have = 0;
  #need = HEADER_SIZE;
  #frames = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** Whether a frame has come in part. */
  get begun(): boolean {
    return this.#have > 0;
  }

  /** How many frames were handed on. */
  get frames(): number {
    return this.#frames;
  }

  /** @throws BadFrame when a frame is longer than MAX_FRAME, and what the sink throws. */
  push(piece: Buffer): void {
    let pos = this.#have > 0 ? this.#complete(piece) : 0;
    while (pos + HEADER_SIZE <= piece.length) {
      const need = HEADER_SIZE + bodyLength(piece, pos);
      if (pos + need > piece.length) {
        this.#need = need;
        break;
      }
      this.#deliver(piece, pos, pos + need);
      pos += need;
    }
    if (pos < piece.length) this.#keep(piece, pos, piece.length);
  }

  #deliver(buf: Buffer, pos: number, end: number): void {
    this.#frames++;
    this.#sink(buf[pos + 8] as number, uint32(buf, pos + 4), buf, pos + HEADER_SIZE, end);
  }

  /** Copies bytes, so that many small pieces cost no more than their sum; room is made as they come, not as the header says. */
  #keep(piece: Buffer, from: number, to: number): void {
    const size = this.#have + to - from;
    if (size > this.#rest.length) {
      const grown = Buffer.allocUnsafeSlow(Math.min(this.#need, Math.max(size, 2 * this.#rest.length, FIRST_ROOM)));
      this.#rest.copy(grown, 0, 0, this.#have);
      this.#rest = grown;
    }
    piece.copy(this.#rest, this.#have, from, to);
    this.#have = size;
  }

  /** Adds to the pending frame what it lacks, delivers it when it is complete, and answers where the rest of the piece begins. */
  #complete(piece: Buffer): number {
    for (let pos = 0; ; ) {
      const to = Math.min(pos + this.#need - this.#have, piece.length);
      this.#keep(piece, pos, to);
      pos = to;
      if (this.#have < this.#need) return pos;
      const need = HEADER_SIZE + bodyLength(this.#rest, 0);
      if (need > this.#have) {
        this.#need = need; // the header alone is complete
        continue;
      }
      const frame = this.#rest;
      if (frame.length > KEPT_ROOM) this.#rest = NOTHING;
      this.#have = 0;
      this.#need = HEADER_SIZE;
      this.#deliver(frame, 0, need);
      return pos;
    }
  }
}

/** The step in the header of a frame whose body begins at start. */
export function stepOf(buf: Buffer, start: number): number {
  return ((buf[start - 6] as number) << 8) | (buf[start - 5] as number);
}

/** readUInt32BE without its checks. */
function uint32(buf: Buffer, pos: number): number {
  const low = ((buf[pos + 1] as number) << 16) | ((buf[pos + 2] as number) << 8) | (buf[pos + 3] as number);
  return (buf[pos] as number) * 0x1000000 + low;
}

function bodyLength(buf: Buffer, pos: number): number {
  const length = uint32(buf, pos);
  if (length > MAX_FRAME) throw new BadFrame(`frame of ${length} bytes; at most ${MAX_FRAME} are allowed`);
  return length;
}
