import { CHUNK_SIZE } from "./frame.js";

/** Slabs that wait to be used again, at most: two megabytes. */
const MOST_FREE = 64;

/**
 * Copies of chunks, in slabs that are used again and again. V8 marks its whole heap after some 17 MB of new buffers, however short they
 * live: that cost more than everything else that a large body needs.
 */
export class Slabs {
  readonly #free: Buffer[] = [];

  /** A copy of a chunk. Only whole chunks lie in slabs: a small one costs no more memory than its bytes. */
  copy(chunk: Buffer): Buffer {
    if (chunk.length !== CHUNK_SIZE) return Buffer.from(chunk);
    const slab = this.#free.pop() ?? Buffer.allocUnsafeSlow(CHUNK_SIZE);
    chunk.copy(slab);
    return slab;
  }

  /** The bytes of copies one after another, in a buffer of their own; the copies are not valid any more. */
  join(copies: readonly Buffer[], size: number): Buffer {
    const whole = Buffer.concat(copies, size);
    for (const copy of copies) if (copy.length === CHUNK_SIZE && this.#free.length < MOST_FREE) this.#free.push(copy);
    return whole;
  }
}
