import { BadFrame, decodeValue, type Reader } from "./msgpack_read.js";
import type { Answer } from "./ops.js";
import { type CallView, Field } from "./view.js";

/** Most answers of one step: they are bits of a mask. */
const MAX_ANSWERS = 16;

/** Questions whose answers depend on what plugins have written: log.serialize, nginx.get_var and response.get_raw_body. */
const DEPENDENT: readonly number[] = [3, 12, 16];

/** One answer; its value is decoded each time it is asked for. */
interface Item {
  readonly fn: number;
  readonly args: readonly Uint8Array[];
  readonly value: () => unknown;
}

/** The answers that a step brought along, ahead of the questions; docs/wire.md section 5.4. */
export class Prefetched {
  readonly #view: CallView;
  readonly #count: number;
  #items: readonly Item[] | null = null;
  /** Bit mask of the answers that were asked for. */
  #used = 0;

  /** @throws BadFrame when they are no list, or too long a one; their fields are looked at when somebody asks. */
  constructor(view: CallView) {
    this.#view = view;
    this.#count = view.reader(Field.prefetched)?.array() ?? 0;
    if (this.#count > MAX_ANSWERS) {
      throw new BadFrame(`${this.#count} prefetched answers; at most ${MAX_ANSWERS} are allowed`);
    }
  }

  /**
   * The answer to a question; null when only the host has it.
   *
   * @param written - whether this step, or one before it, has recorded an operation.
   * @throws BadFrame
   */
  answer(fn: number, args: readonly Uint8Array[], written: boolean): Answer | null {
    if (written && DEPENDENT.includes(fn)) return null;
    this.#items ??= readItems(this.#view);
    const index = this.#items.findIndex((item) => item.fn === fn && sameArgs(item.args, args));
    const item = this.#items[index];
    if (item === undefined) return null;
    this.#used |= 1 << index;
    return { error: null, value: item.value() };
  }

  /** Bit mask of the answers that nobody has asked for. */
  unused(): number {
    return ((1 << this.#count) - 1) & ~this.#used;
  }
}

function readItems(view: CallView): Item[] {
  const reader = view.reader(Field.prefetched);
  const count = reader?.array() ?? 0;
  if (reader === null) return [];
  return Array.from({ length: count }, () => readItem(reader));
}

function readItem(reader: Reader): Item {
  const fields = reader.array();
  if (fields < 3) throw new BadFrame(`a prefetched answer of ${fields} fields; expected 3`);
  const fn = reader.uint();
  const args = Array.from({ length: reader.array() }, () => new Uint8Array(reader.raw()));
  const raw = new Uint8Array(reader.raw());
  for (let i = 3; i < fields; i++) reader.skip();
  return { fn, args, value: () => decodeValue(raw) };
}

function sameArgs(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  return a.length === b.length && a.every((arg, i) => Buffer.compare(arg, b[i] as Uint8Array) === 0);
}
