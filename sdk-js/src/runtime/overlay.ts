import type { MultiMap } from "../values.js";
import { foldName, MultiMap as Headers } from "../values.js";
import { type addLines, type Line, sameName, type setLines } from "./headers.js";
import { encodeText } from "./text.js";
import type { CallView } from "./view.js";

/** A header that was set (an empty list removes it) or added to. */
export interface LineChange {
  /** Number of the operation. */
  readonly code: number;
  readonly name: string;
  readonly values: readonly string[];
}

/** Where the facts of header lines are, and how they are changed: those of a request have a rule of their own for Host. */
export interface LinePlace {
  readonly field: number;
  readonly index: number;
  /** Number of the operation that adds; the others set. */
  readonly add: number;
  readonly setLines: typeof setLines;
  readonly addLines: typeof addLines;
}

/** Writes after which reading a header makes the lines instead of looking at each write. */
const FEW = 16;

/** Header lines as handlers see them once they have written: the facts with the writes over them, which are applied when one is read. */
export class LineOverlay {
  readonly #place: LinePlace;
  readonly #changes: LineChange[] = [];
  #lines: Line[] | null = null;
  /** Changes that are in the lines. */
  #applied = 0;

  constructor(place: LinePlace) {
    this.#place = place;
  }

  write(change: LineChange): void {
    this.#changes.push(change);
  }

  /** First value of a header; null when there is none. */
  first(facts: CallView, name: string): string | null {
    if (this.#lines !== null || this.#changes.length > FEW || this.#hasWritten(name)) {
      return firstValue(this.lines(facts), name);
    }
    return facts.header(this.#place.field, this.#place.index, name);
  }

  #hasWritten(name: string): boolean {
    for (const change of this.#changes) if (sameName(change.name, name)) return true;
    return false;
  }

  lines(facts: CallView): readonly Line[] {
    const { field, index, add, setLines, addLines } = this.#place;
    this.#lines ??= facts.lines(field, index);
    for (; this.#applied < this.#changes.length; this.#applied++) {
      const { code, name, values } = this.#changes[this.#applied] as LineChange;
      (code === add ? addLines : setLines)(this.#lines, name, values);
    }
    return this.#lines;
  }
}

/** First value of a header; null when there is none. */
export function firstValue(lines: readonly Line[], name: string): string | null {
  for (const line of lines) if (sameName(line[0], name)) return line[1];
  return null;
}

/** The first lines as a map of headers. */
export function headerMap(lines: readonly Line[], limit: number): MultiMap {
  return new Headers(
    lines.slice(0, limit).map(([name, value]) => [foldName(name), value]),
    lines.length > limit,
  );
}

/** Values of ctx.shared or ctx.plugin, each as one MessagePack value, with the size that max_shared bounds. */
export class ValueOverlay {
  readonly #values: Map<string, Uint8Array>;
  #size = 0;

  constructor(values: Map<string, Uint8Array>) {
    this.#values = values;
    for (const [key, value] of values) this.#size += entrySize(key, value);
  }

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  /** Size after a set, in bytes. */
  sizeWith(key: string, value: Uint8Array): number {
    const old = this.#values.get(key);
    return this.#size - (old === undefined ? 0 : entrySize(key, old)) + (isNil(value) ? 0 : entrySize(key, value));
  }

  set(key: string, value: Uint8Array): void {
    this.#size = this.sizeWith(key, value);
    if (isNil(value)) this.#values.delete(key);
    else this.#values.set(key, value);
  }
}

export function isNil(value: Uint8Array): boolean {
  return value.length === 1 && value[0] === 0xc0;
}

/** Bytes of a key and its value in MessagePack. */
function entrySize(key: string, value: Uint8Array): number {
  const bytes = encodeText(key).length;
  const head = bytes > 0xffff ? 5 : bytes > 0xff ? 3 : bytes > 31 ? 2 : 1;
  return head + bytes + value.length;
}
