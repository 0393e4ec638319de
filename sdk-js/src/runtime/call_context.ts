import { functions as F, type PdkFunction } from "../gen/functions.js";
import { ClientCall } from "./call_client.js";
import { quote } from "./headers.js";
import { decodeValue } from "./msgpack_read.js";
import { encodeValue, Writer } from "./msgpack_write.js";
import { isNil, ValueOverlay } from "./overlay.js";
import { encodeText } from "./text.js";
import { Field } from "./view.js";

/** In front of the keys of nginx.set_ctx in ctx.shared. */
const NGINX_CTX = "nginx.ctx.";

const MAX_CACHE_KEY = 1024;
const MAX_CACHE_VALUE = 1 << 20;
const NIL = encodeValue(null);

type Scope = "shared" | "plugin";

/** Values under keys: namespaces ctx.shared, ctx.plugin and cache, and the context of nginx. */
export class ContextCall extends ClientCall {
  ctxSharedGet(key: string): unknown {
    return this.valueUnder(F.ctxSharedGet, "shared", key);
  }

  ctxSharedSet(key: string, value: unknown): void {
    this.setValue(F.ctxSharedSet, "shared", key, value);
  }

  ctxPluginGet(key: string): unknown {
    return this.valueUnder(F.ctxPluginGet, "plugin", key);
  }

  ctxPluginSet(key: string, value: unknown): void {
    this.setValue(F.ctxPluginSet, "plugin", key, value);
  }

  nginxGetCtx(key: string): unknown {
    return this.valueUnder(F.nginxGetCtx, "shared", key, NGINX_CTX);
  }

  nginxSetCtx(key: string, value: unknown): void {
    this.setValue(F.nginxSetCtx, "shared", key, value, NGINX_CTX);
  }

  private valueUnder(fn: PdkFunction, scope: Scope, key: string, prefix = ""): unknown {
    this.check(fn);
    this.textArg(fn, "key", key);
    const name = prefix + key;
    const overlay = this.written[scope];
    if (overlay !== null) {
      const value = overlay.get(name);
      return value === undefined ? null : decodeValue(value);
    }
    const reader = this.view.reader(Field[scope]);
    if (reader === null) return null;
    for (let n = reader.map(); n > 0; n--) {
      if (reader.text() === name) return reader.value();
      reader.skip();
    }
    return null;
  }

  private setValue(fn: PdkFunction, scope: Scope, key: string, value: unknown, prefix = ""): void {
    this.check(fn);
    this.textArg(fn, "key", key);
    const name = prefix + key;
    const encoded = this.valueArg(fn, "value", value);
    const overlay = this.valueOverlay(scope);
    const size = overlay.sizeWith(name, encoded);
    const limit = this.host.node.maxShared;
    if (limit > 0 && size > limit && !isNil(encoded)) {
      throw this.argError(
        fn,
        `with the value under ${quote(key)} ctx.${scope} would hold ${size} bytes; at most ${limit} (max_shared) are allowed`,
      );
    }
    const { op } = scope === "shared" ? F.ctxSharedSet : F.ctxPluginSet;
    this.record({ kind: "shared", code: op, key: name, value: encoded });
    overlay.set(name, encoded);
  }

  private valueOverlay(scope: Scope): ValueOverlay {
    const writes = this.writes();
    writes[scope] ??= new ValueOverlay(this.valueFacts(Field[scope]));
    return writes[scope];
  }

  private valueFacts(field: number): Map<string, Uint8Array> {
    const values = new Map<string, Uint8Array>();
    const reader = this.view.reader(field);
    for (let n = reader?.map() ?? 0; n > 0 && reader; n--) values.set(reader.text(), new Uint8Array(reader.raw()));
    return values;
  }

  // cache

  async cacheGet(key: string): Promise<unknown> {
    const fn = F.cacheGet;
    this.check(fn);
    this.cacheKeyArg(fn, key);
    const written = this.written.cache?.get(key);
    return written === undefined ? this.ask(fn, key) : decodeValue(written);
  }

  cacheSet(key: string, value: unknown, ttl: number): void {
    const fn = F.cacheSet;
    this.check(fn);
    this.cacheKeyArg(fn, key);
    if (typeof ttl !== "number" || !Number.isFinite(ttl) || ttl < 0) {
      throw this.argError(
        fn,
        `ttl is ${typeof ttl === "number" ? ttl : typeof ttl}; expected a number of seconds from 0`,
      );
    }
    const encoded = this.valueArg(fn, "value", value);
    if (encoded.length > MAX_CACHE_VALUE) {
      throw this.argError(fn, `value has ${encoded.length} bytes; at most ${MAX_CACHE_VALUE} are allowed`);
    }
    const args = new Writer(64 + encoded.length);
    args.array(3);
    args.str(key);
    args.raw(encoded);
    args.float(ttl);
    this.record({ kind: "generic", code: fn.op, args: args.take() });
    this.writeCache(key, encoded);
  }

  cacheDelete(key: string): void {
    const fn = F.cacheDelete;
    this.check(fn);
    this.cacheKeyArg(fn, key);
    this.recordArgs(fn, [key]);
    this.writeCache(key, NIL);
  }

  private cacheKeyArg(fn: PdkFunction, key: unknown): void {
    this.nameArg(fn, "key", key);
    const { length } = encodeText(key as string);
    if (length > MAX_CACHE_KEY) {
      throw this.argError(fn, `key has ${length} bytes; at most ${MAX_CACHE_KEY} are allowed`);
    }
  }

  private writeCache(key: string, value: Uint8Array): void {
    const writes = this.writes();
    writes.cache ??= new Map();
    writes.cache.set(key, value);
  }
}
