import { DataError } from "../errors.js";
import { PDK } from "../gen/pdk.js";
import { isExit } from "../runtime/call_state.js";
import { encodeText } from "../runtime/text.js";
import { type Captures, MultiMap, Query } from "../values.js";

/*
 * The PDK as Kong's JavaScript plugins know it: every function answers a promise, a missing value is undefined, maps are plain objects
 * of lists, bodies are Buffers, and a problem of the data is a warning in the log and undefined.
 */

type Method = (...args: unknown[]) => unknown;
type Namespace = Record<string, Method>;

type Promised<N> = {
  readonly [K in keyof N]: N[K] extends (...args: never) => unknown
    ? (...args: unknown[]) => Promise<unknown>
    : Promised<N[K]>;
};

/** The PDK that a Kong plugin's handlers get. */
export type KongPDK = Promised<Omit<PDK, "log">> & {
  /** `kong.log(…)` is `kong.log.notice(…)`. */
  readonly log: Promised<PDK["log"]> & ((...args: unknown[]) => Promise<unknown>);
};

/** Namespaces inside of others. */
const NESTED = ["tls", "plugin", "shared", "request", "response"];

/** Functions that answer true, because Kong's do. */
const ANSWER_TRUE = [
  "setUpstream",
  "setBody",
  "setTlsVerify",
  "setTlsVerifyDepth",
  "setTlsCertKey",
  "setTlsVerifyStore",
];

/** Kong's stubs spell this name so. */
const ALIASES: Readonly<Record<string, string>> = { getTls1_versionStr: "getTls1VersionStr" };

/** What functions take in Kong and what they take here. */
const ARGUMENTS: Readonly<Record<string, (args: unknown[]) => unknown[]>> = {
  setRawBody: ([body]) => [typeof body === "string" ? encodeText(body) : body],
  setSerializeValue: ([key, value, options]) => [key, value ?? null, option(options, "mode")],
  setAuthenticatedConsumerGroups: ([groups, options]) => [groups ?? [], option(options, "mode")],
  deprecation: ([message, options]) => [message, option(options, "after"), option(options, "removal")],
};

function option(options: unknown, name: string): unknown {
  return typeof options === "object" && options !== null ? (options as Record<string, unknown>)[name] : undefined;
}

/** A result in Kong's form. */
function kongResult(name: string, result: unknown): unknown {
  if (ANSWER_TRUE.includes(name)) return true;
  if (result === null) return undefined;
  if (result instanceof MultiMap || result instanceof Query) return result.toObject();
  if (result instanceof Uint8Array) return Buffer.from(result.buffer, result.byteOffset, result.byteLength);
  if (name === "getBody") return (result as { value: unknown }).value;
  if (name === "getUriCaptures") return captures(result as Captures);
  return result;
}

/** Unnamed groups count from 1: the whole match, which Kong has at 0, is not known here. */
function captures({ unnamed, named }: Captures): Record<string, unknown> {
  return { unnamed: Object.fromEntries(unnamed.map((text, i) => [i + 1, text])), named };
}

/** The PDK of one call in Kong's form. */
export function kongPdk(kong: PDK): KongPDK {
  const pdk: Record<string, Namespace> = {};
  for (const name of NAMESPACES) {
    lazily(pdk, name, () => (name === "log" ? logFunction(kong) : promised(kong[name], kong)));
  }
  return pdk as unknown as KongPDK;
}

const NAMESPACES = Object.getOwnPropertyNames(PDK.prototype).filter((name) => name !== "constructor") as Exclude<
  keyof PDK,
  symbol
>[];

/** A property that is made when it is first read: few handlers use all namespaces. */
function lazily<T>(object: Record<string, T>, name: string, make: () => T): void {
  Object.defineProperty(object, name, {
    configurable: true,
    enumerable: true,
    get: () => {
      const value = make();
      Object.defineProperty(object, name, { value, enumerable: true });
      return value;
    },
  });
}

/** `kong.log(…)` is notice; its functions hang on it. */
function logFunction(kong: PDK): Namespace {
  const log = promised(kong.log, kong);
  const notice = (...args: unknown[]): unknown => log.notice?.(...args);
  return Object.assign(notice, log) as unknown as Namespace;
}

/** A namespace whose functions answer promises. */
function promised(namespace: object, kong: PDK): Namespace {
  const made: Namespace = {};
  for (const name of methodsOf(namespace)) {
    made[name] = (...args) =>
      settle(kong, name, () => (namespace as Namespace)[name]?.(...(ARGUMENTS[name]?.(args) ?? args)));
  }
  for (const [alias, name] of Object.entries(ALIASES)) if (made[name] !== undefined) made[alias] = made[name];
  for (const name of NESTED) {
    const inner = (namespace as Record<string, unknown>)[name];
    if (typeof inner === "object" && inner !== null) {
      lazily(made as Record<string, unknown>, name, () => promised(inner, kong));
    }
  }
  return made;
}

const methods = new WeakMap<object, readonly string[]>();

/** Names of the functions of a namespace, found once for each class. */
function methodsOf(namespace: object): readonly string[] {
  const prototype: object = Object.getPrototypeOf(namespace);
  let names = methods.get(prototype);
  if (names === undefined) {
    const inherited: object = Object.getPrototypeOf(prototype);
    const own = Object.getOwnPropertyNames(prototype).filter((name) => name !== "constructor");
    names = inherited === Object.prototype ? own : [...own, ...Object.getOwnPropertyNames(inherited)];
    names = names.filter((name) => name !== "constructor");
    methods.set(prototype, names);
  }
  return names;
}

/** Calls at once, so that writes keep their order. An exit unwinds the handler whether or not the plugin awaits it. */
function settle(kong: PDK, name: string, call: () => unknown): Promise<unknown> {
  let result: unknown;
  try {
    result = call();
  } catch (thrown) {
    if (isExit(thrown)) throw thrown;
    return refused(kong, thrown);
  }
  return Promise.resolve(result).then(
    (value) => kongResult(name, value),
    (thrown: unknown) => refused(kong, thrown),
  );
}

/** Kong answers nothing where the data of the request cannot answer; why is in the log. */
async function refused(kong: PDK, thrown: unknown): Promise<undefined> {
  if (!(thrown instanceof DataError)) throw thrown;
  kong.log.warn(thrown.message);
  return undefined;
}
