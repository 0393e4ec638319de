import type { MultiMap } from "../values.js";
import { foldName, MultiMap as Headers } from "../values.js";
import { type Line, sameName } from "./headers.js";
import { encodeText } from "./text.js";

/** Header lines as a handler sees them once it has written: the facts with its writes over them, which are applied when it reads. */
export class LineOverlay {
  readonly #facts: () => Line[];
  #lines: Line[] | null = null;
  #pending: ((lines: Line[]) => void)[] = [];

  constructor(facts: () => Line[]) {
    this.#facts = facts;
  }

  write(change: (lines: Line[]) => void): void {
    this.#pending.push(change);
  }

  lines(): readonly Line[] {
    this.#lines ??= this.#facts();
    for (const change of this.#pending) change(this.#lines);
    this.#pending = [];
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
