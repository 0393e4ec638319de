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

/** Takes complete frames; the body is buf[start, end) and stays as it is for as long as somebody refers to it. */
export type FrameSink = (type: number, callId: number, buf: Buffer, start: number, end: number) => void;

/**
 * Cuts what a socket brings into frames, however it is cut. Frames that lie in one piece are handed on in place, without a copy.
 */
export class FrameReader {
  readonly #sink: FrameSink;
  /** Beginning of a frame whose rest has not come yet. */
  #pending: Buffer[] = [];
  #have = 0;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws BadFrame when a frame is longer than MAX_FRAME, and what the sink throws. */
  push(piece: Buffer): void {
    let pos = 0;
    while (this.#have > 0 && pos < piece.length) pos = this.#complete(piece, pos);
    while (pos + HEADER_SIZE <= piece.length) {
      const length = bodyLength(piece, pos);
      const end = pos + HEADER_SIZE + length;
      if (end > piece.length) break;
      this.#deliver(piece, pos, end);
      pos = end;
    }
    if (pos < piece.length) this.#keep(piece.subarray(pos));
  }

  #deliver(buf: Buffer, pos: number, end: number): void {
    this.#sink(buf[pos + 8] as number, buf.readUInt32BE(pos + 4), buf, pos + HEADER_SIZE, end);
  }

  #keep(piece: Buffer): void {
    this.#pending.push(piece);
    this.#have += piece.length;
  }

  /** Adds to the pending frame what it lacks, delivers it when it is complete, and answers where the rest of the piece begins. */
  #complete(piece: Buffer, from: number): number {
    let need = HEADER_SIZE;
    if (this.#have >= HEADER_SIZE) need += bodyLength(this.#join(), 0);
    const to = Math.min(from + need - this.#have, piece.length);
    if (to > from) this.#keep(piece.subarray(from, to));
    if (this.#have < need) return to;
    const frame = this.#join();
    if (need === HEADER_SIZE) {
      const whole = HEADER_SIZE + bodyLength(frame, 0);
      if (whole > HEADER_SIZE) return to; // the header alone is complete
    }
    this.#pending = [];
    this.#have = 0;
    this.#deliver(frame, 0, frame.length);
    return to;
  }

  /** The pending bytes in one buffer, once the header is there: before that there are at most 16. */
  #join(): Buffer {
    const first = this.#pending[0] as Buffer;
    if (this.#pending.length === 1) return first;
    if (first.length >= HEADER_SIZE && this.#have < HEADER_SIZE + bodyLength(first, 0)) return first;
    const joined = Buffer.concat(this.#pending, this.#have);
    this.#pending = [joined];
    return joined;
  }
}

function bodyLength(buf: Buffer, pos: number): number {
  const length = buf.readUInt32BE(pos);
  if (length > MAX_FRAME) throw new BadFrame(`frame of ${length} bytes; at most ${MAX_FRAME} are allowed`);
  return length;
}
