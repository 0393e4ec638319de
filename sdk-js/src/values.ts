/**
 * Values of PDK functions. Text that came from a peer is UTF-8 in which every invalid byte is one code unit U+DC80 to U+DCFF;
 * given back to the PDK it becomes the same bytes again.
 */

/** Value of a header: text, number, boolean, or bytes; an array of texts or bytes gives one line each, an empty one removes the header. */
export type HeaderValue = string | number | bigint | boolean | Uint8Array | readonly (string | Uint8Array)[];

/** Headers by name. */
export type HeaderMap = Readonly<Record<string, HeaderValue>>;

/** Value of one query argument: text, or true for an argument without an equals sign. */
export type QueryValue = string | true;

/** One value to write into a query: true gives a bare name, false leaves the name out. */
export type QueryScalar = string | number | bigint | boolean;

/** What a query argument is set to: one value, or several in order. An empty array leaves the name out. */
export type QueryParam = QueryScalar | readonly QueryScalar[];

/** Query arguments by name. */
export type QueryMap = Readonly<Record<string, QueryParam>>;

/** Body of an exit: nothing, text, bytes, or a value that is sent as JSON (a plain object or an array). */
export type ExitBody = string | Uint8Array | object | null | undefined;

/** Lower case, and `_` as `-`: the form in which header names are compared. */
export function foldName(name: string): string {
  // Names are ASCII: another letter whose lower case is an ASCII one is another letter.
  return name.replace(/[A-Z_]/g, (c) => (c === "_" ? "-" : c.toLowerCase()));
}

/** Ordered name-value pairs, immutable. */
abstract class Pairs<V> implements Iterable<[string, V]> {
  readonly #pairs: readonly (readonly [string, V])[];
  /** Whether there were more than the call asked for. */
  readonly truncated: boolean;

  constructor(pairs: readonly (readonly [string, V])[] = [], truncated = false) {
    this.#pairs = pairs;
    this.truncated = truncated;
  }

  protected abstract key(name: string): string;

  /** Number of pairs: a name that stands twice counts twice. */
  get size(): number {
    return this.#pairs.length;
  }

  /** First value under a name; null when there is none. */
  get(name: string): V | null {
    const key = this.key(name);
    for (const [n, value] of this.#pairs) if (n === key) return value;
    return null;
  }

  /** Values under a name, in order; empty when there are none. */
  values(name: string): V[] {
    const key = this.key(name);
    return this.#pairs.filter(([n]) => n === key).map(([, value]) => value);
  }

  has(name: string): boolean {
    const key = this.key(name);
    return this.#pairs.some(([n]) => n === key);
  }

  /** Names in order of their first value. */
  names(): string[] {
    return [...new Set(this.#pairs.map(([name]) => name))];
  }

  *entries(): IterableIterator<[string, V]> {
    for (const [name, value] of this.#pairs) yield [name, value];
  }

  [Symbol.iterator](): IterableIterator<[string, V]> {
    return this.entries();
  }

  /** Values by name, always as arrays; the object has no prototype. */
  toObject(): Record<string, V[]> {
    const object: Record<string, V[]> = Object.create(null);
    for (const [name, value] of this.#pairs) {
      const values = object[name];
      if (values) values.push(value);
      else object[name] = [value];
    }
    return object;
  }

  toJSON(): Record<string, V[]> {
    return this.toObject();
  }
}

/**
 * Header lines in arrival order, names lower-cased with dashes. Looking a name up ignores case, and `-` and `_` are the same.
 * Immutable; it may be kept.
 */
export class MultiMap extends Pairs<string> {
  protected override key(name: string): string {
    return foldName(name);
  }
}

/** Query arguments in order, percent-decoded; names are case-sensitive. Immutable; it may be kept. */
export class Query extends Pairs<QueryValue> {
  protected override key(name: string): string {
    return name;
  }
}

/** What the groups of a route's regex path matched. */
export interface Captures {
  /** By position; the first group is at 0. */
  readonly unnamed: readonly string[];
  readonly named: Readonly<Record<string, string>>;
}

/** Names another entity by its id. */
export interface Ref {
  readonly id: string;
}

/** A route as it is configured. Frozen, and shared by all requests. */
export interface Route {
  /** A UUID. */
  readonly id: string;
  readonly name?: string;
  readonly protocols: readonly string[];
  readonly methods?: readonly string[];
  readonly hosts?: readonly string[];
  readonly paths?: readonly string[];
  readonly headers?: Readonly<Record<string, readonly string[]>>;
  readonly snis?: readonly string[];
  readonly strip_path: boolean;
  readonly path_handling: "v0" | "v1";
  /** What literal paths match; left out when all that begins with them. */
  readonly path_match?: "segment" | "exact";
  readonly preserve_host: boolean;
  readonly https_redirect_status_code: number;
  readonly regex_priority: number;
  /** Of the router flavour expressions; left out when the attributes above say which requests match. */
  readonly expression?: string;
  /** Larger first, whatever else the route has. */
  readonly priority?: number;
  readonly request_buffering: boolean;
  readonly response_buffering: boolean;
  /** Left out when a plugin has to answer. */
  readonly service?: Ref;
  readonly tags?: readonly string[];
  /** Seconds since the epoch. */
  readonly created_at: number;
  /** Seconds since the epoch. */
  readonly updated_at: number;
}

/** A service as it is configured. Frozen, and shared by all requests. */
export interface Service {
  /** A UUID. */
  readonly id: string;
  readonly name?: string;
  readonly protocol: "http" | "https";
  readonly host: string;
  readonly port: number;
  readonly path?: string;
  readonly retries: number;
  /** Milliseconds. */
  readonly connect_timeout: number;
  /** Milliseconds. */
  readonly write_timeout: number;
  /** Milliseconds. */
  readonly read_timeout: number;
  readonly tls_verify?: boolean;
  readonly enabled: boolean;
  readonly tags?: readonly string[];
  /** Seconds since the epoch. */
  readonly created_at: number;
  /** Seconds since the epoch. */
  readonly updated_at: number;
}

/** Somebody who uses the gateway. Frozen, and shared by all requests. */
export interface Consumer {
  /** A UUID. */
  readonly id: string;
  readonly username?: string;
  readonly custom_id?: string;
  readonly tags?: readonly string[];
  /** Seconds since the epoch. */
  readonly created_at?: number;
  /** Seconds since the epoch. */
  readonly updated_at?: number;
}

/** What a consumer authenticated with: id and consumer_id, and the other fields of its kind beside them. */
export interface Credential {
  readonly id?: string;
  readonly consumer_id?: string;
  readonly [field: string]: unknown;
}

/** A set of consumers. */
export interface ConsumerGroup {
  /** A UUID. */
  readonly id: string;
  readonly name?: string;
}

/** Several consumer groups, in order. */
export type ConsumerGroups = readonly ConsumerGroup[];

/** A parsed body. */
export interface Body {
  /** An object without prototype, or an array. */
  readonly value: unknown;
  /** Media type by which it was parsed, without parameters. */
  readonly mime: string;
}

/** A reference to a secret in its parts: `{vault://name/resource/key?option=value#version}`. */
export interface Reference {
  /** Name of the vault. */
  readonly name: string;
  /** The secret. */
  readonly resource: string;
  /** A field of it; empty for all of it. */
  readonly key: string;
  /** Options by name; empty when there are none. */
  readonly config: Readonly<Record<string, string>>;
  /** 0 for the current one. */
  readonly version: number;
}

export { Span, type SpanEvent, type SpanStatus } from "./span.js";
