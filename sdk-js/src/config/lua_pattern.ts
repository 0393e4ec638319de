/** A Lua pattern that no regular expression says the same; the message says why. */
export class UntranslatablePattern extends Error {}

/** Character classes, as they stand inside brackets. */
const CLASSES: Readonly<Record<string, string>> = {
  a: "A-Za-z",
  c: "\\x00-\\x1f\\x7f",
  d: "0-9",
  g: "!-~",
  l: "a-z",
  p: "!-\\/:-@\\[-`{-~",
  s: "\\t-\\r ",
  u: "A-Z",
  w: "A-Za-z0-9",
  x: "0-9A-Fa-f",
};

const REPEATS: Readonly<Record<string, string>> = { "*": "*", "+": "+", "?": "?", "-": "*?" };

/**
 * Translates a Lua pattern into a regular expression that JavaScript and RE2 read alike.
 *
 * @throws UntranslatablePattern for %b, %f, %1, position captures, complements inside of a set, and what is no pattern.
 */
export function regexpOfLua(pattern: string): string {
  const reader = new PatternReader(pattern);
  return reader.translate();
}

class PatternReader {
  readonly #pattern: string;
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
  }

  translate(): string {
    let regexp = "";
    if (this.#take("^")) regexp += "^";
    while (this.#at < this.#pattern.length) regexp += this.#piece();
    if (this.#depth > 0) this.#refuse("a capture that is not closed");
    return regexp;
  }

  #piece(): string {
    if (this.#pattern.startsWith("()", this.#at)) this.#refuse("the position capture ()");
    if (this.#take("(")) {
      this.#depth++;
      return "(?:";
    }
    if (this.#take(")")) {
      if (this.#depth-- === 0) this.#refuse("a closing parenthesis without an opening one");
      return ")";
    }
    if (this.#at === this.#pattern.length - 1 && this.#take("$")) return "$";
    const single = this.#single();
    const repeat = REPEATS[this.#pattern[this.#at] ?? ""];
    if (repeat === undefined) return single;
    this.#at++;
    return single + repeat;
  }

  /** What stands for one character. */
  #single(): string {
    if (this.#take(".")) return "[\\s\\S]";
    if (this.#take("[")) return this.#set();
    if (!this.#take("%")) return escapeCharacter(this.#next());
    const letter = this.#next();
    const members = CLASSES[letter.toLowerCase()];
    if (members !== undefined) return letter === letter.toLowerCase() ? `[${members}]` : `[^${members}]`;
    if (/[A-Za-z0-9]/.test(letter)) this.#refuse(`%${letter}`);
    return escapeCharacter(letter);
  }

  #set(): string {
    let set = this.#take("^") ? "[^" : "[";
    let first = true;
    while (first || !this.#take("]")) {
      first = false;
      set += this.#member();
    }
    return `${set}]`;
  }

  /** One member of a set: a class, a range or a character. */
  #member(): string {
    if (this.#take("%")) {
      const letter = this.#next();
      const members = CLASSES[letter.toLowerCase()];
      if (members === undefined) return escapeMember(letter);
      if (letter !== letter.toLowerCase()) this.#refuse(`%${letter} inside of a set`);
      return members;
    }
    const from = this.#next();
    const [dash, to] = [this.#pattern[this.#at], this.#pattern[this.#at + 1]];
    if (dash !== "-" || to === undefined || to === "]") return escapeMember(from);
    if (to === "%") this.#refuse("a range to an escape");
    if (to < from) this.#refuse(`the range ${from}-${to}`);
    this.#at += 2;
    return `${escapeMember(from)}-${escapeMember(to)}`;
  }

  #take(c: string): boolean {
    if (this.#pattern[this.#at] !== c) return false;
    this.#at++;
    return true;
  }

  /** The next character, whole. */
  #next(): string {
    const code = this.#pattern.codePointAt(this.#at);
    if (code === undefined) return this.#refuse("an end where a character should be");
    const c = String.fromCodePoint(code);
    this.#at += c.length;
    return c;
  }

  #refuse(found: string): never {
    throw new UntranslatablePattern(
      `Lua pattern ${JSON.stringify(this.#pattern)}: found ${found}, which JSON Schema cannot say`,
    );
  }
}

function escapeCharacter(c: string): string {
  return /[\^$\\.*+?()[\]{}|/]/.test(c) ? `\\${c}` : c;
}

function escapeMember(c: string): string {
  return /[\^\\[\]-]/.test(c) ? `\\${c}` : c;
}

/** A regular expression that a text begins with these characters. */
export function startingWith(text: string): string {
  return `^${[...text].map(escapeCharacter).join("")}`;
}

/** A regular expression that a text ends with these characters. */
export function endingWith(text: string): string {
  return `${[...text].map(escapeCharacter).join("")}$`;
}
