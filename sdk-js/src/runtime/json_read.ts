/** Text that is not the JSON that was expected. */
export class BadJson extends Error {}

/** Deepest nesting of arrays and objects. */
const MAX_DEPTH = 512;

const INT64_MIN = -(2n ** 63n);
const UINT64_MAX = 2n ** 64n - 1n;

const BLANKS = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
/** A run of text without quotes, escapes and control characters. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters have to be escaped in JSON
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/**
 * Reads JSON text; RFC 8259. Objects have no prototype and the last of equal keys counts. Integers stay integers: beyond 2^53 they
 * are BigInt, beyond 64 bits numbers. An escape of half a surrogate pair becomes U+FFFD.
 *
 * @throws BadJson
 */
export function readJson(text: string): unknown {
  const reader = new JsonReader(text);
  const value = reader.value(0);
  reader.end();
  return value;
}

class JsonReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    this.#blanks();
  }

  /** The value here; the blanks behind it are passed over. */
  value(depth: number): unknown {
    const value = this.#plainValue(depth);
    this.#blanks();
    return value;
  }

  /** @throws BadJson unless this is the end. */
  end(): void {
    if (this.#at < this.#text.length) this.#fail("the end");
  }

  #plainValue(depth: number): unknown {
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth + 1);
      case "[":
        return this.#array(depth + 1);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #object(depth: number): Record<string, unknown> {
    this.#open(depth);
    const object: Record<string, unknown> = Object.create(null);
    if (this.#take("}", false)) return object;
    do {
      if (this.#text[this.#at] !== '"') this.#fail("a key");
      const key = this.#string();
      this.#blanks();
      if (!this.#take(":")) this.#fail("a colon");
      object[key] = this.value(depth);
    } while (this.#take(","));
    if (!this.#take("}", false)) this.#fail("a comma or a closing brace");
    return object;
  }

  #array(depth: number): unknown[] {
    this.#open(depth);
    const array: unknown[] = [];
    if (this.#take("]", false)) return array;
    do array.push(this.value(depth));
    while (this.#take(","));
    if (!this.#take("]", false)) this.#fail("a comma or a closing bracket");
    return array;
  }

  /** Steps into an object or array. */
  #open(depth: number): void {
    if (depth > MAX_DEPTH) throw new BadJson(`nesting deeper than ${MAX_DEPTH}`);
    this.#at++;
    this.#blanks();
  }

  #string(): string {
    this.#at++;
    let text = "";
    for (;;) {
      text += this.#match(PLAIN);
      const c = this.#text[this.#at];
      if (c === '"') {
        this.#at++;
        return text;
      }
      if (c !== "\\") this.#fail("the rest of a text");
      text += this.#escape();
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? "";
    if (letter !== "u") {
      const escaped = ESCAPES[letter];
      if (escaped === undefined) this.#fail("an escape");
      this.#at += 2;
      return escaped as string;
    }
    const unit = this.#codeUnit();
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit);
    if (unit < 0xdc00 && this.#text.startsWith("\\u", this.#at)) {
      const before = this.#at;
      const low = this.#codeUnit();
      if (low >= 0xdc00 && low <= 0xdfff) return String.fromCharCode(unit, low);
      this.#at = before;
    }
    return "\ufffd";
  }

  /** The code unit of an escape `\uXXXX`. */
  #codeUnit(): number {
    const digits = this.#text.slice(this.#at + 2, this.#at + 6);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.#fail("four hex digits");
    this.#at += 6;
    return Number.parseInt(digits, 16);
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at;
    const found = NUMBER.exec(this.#text);
    if (found === null) return this.#fail("a value");
    const [digits, fraction, exponent] = found;
    this.#at += digits.length;
    const number = Number(digits);
    if (!Number.isFinite(number)) this.#fail("a number that fits 64 bits");
    if (fraction !== undefined || exponent !== undefined || Number.isSafeInteger(number)) return number;
    const integer = BigInt(digits);
    return integer < INT64_MIN || integer > UINT64_MAX ? number : integer;
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail("a value");
    this.#at += word.length;
    return value;
  }

  /** Takes one character, and the blanks behind it; false when another one stands here. */
  #take(c: string, blanks = true): boolean {
    if (this.#text[this.#at] !== c) return false;
    this.#at++;
    if (blanks) this.#blanks();
    return true;
  }

  #blanks(): void {
    this.#match(BLANKS);
  }

  /** Takes what a sticky pattern that also matches nothing finds here. */
  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const [found = ""] = pattern.exec(this.#text) ?? [];
    this.#at += found.length;
    return found;
  }

  #fail(expected: string): never {
    const c = this.#text[this.#at];
    throw new BadJson(`found ${c === undefined ? "the end" : JSON.stringify(c)} at ${this.#at}; expected ${expected}`);
  }
}
