import { isIPv6 } from "node:net";
import { functions as F, type PdkFunction } from "../gen/functions.js";
import { ResponseCall } from "./call_response.js";
import { kindOf, quote } from "./headers.js";

const MAX_RETRIES = 32767;
const MAX_TIMEOUT = 2147483646;
const MAX_DEPTH = 64;
const MAX_FALLBACKS = 16;
/** Blanks, control characters, and what would end the host of a URL. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const NOT_IN_HOST = /[\s\u0000-\u001f\u007f/@]/;

/** Namespace service. */
export class ServiceCall extends ResponseCall {
  async serviceSetUpstream(name: string): Promise<void> {
    const fn = F.serviceSetUpstream;
    this.check(fn);
    this.nameArg(fn, "name", name);
    await this.ask(fn, name);
    this.recordArgs(fn, [name]);
  }

  serviceSetTarget(host: string, port: number): void {
    const fn = F.serviceSetTarget;
    this.check(fn);
    this.textArg(fn, "host", host);
    const name = hostOf(host);
    if (name === null) throw this.argError(fn, `host ${quote(host)} is no host name and no address`);
    this.integerArg(fn, "port", port, 0, 65535);
    this.recordArgs(fn, [name, port]);
  }

  serviceSetRetries(retries: number): void {
    const fn = F.serviceSetRetries;
    this.check(fn);
    this.integerArg(fn, "retries", retries, 0, MAX_RETRIES);
    this.recordArgs(fn, [retries]);
  }

  serviceSetTimeouts(connectTimeout: number, writeTimeout: number, readTimeout: number): void {
    const fn = F.serviceSetTimeouts;
    this.check(fn);
    this.integerArg(fn, "connectTimeout", connectTimeout, 1, MAX_TIMEOUT);
    this.integerArg(fn, "writeTimeout", writeTimeout, 1, MAX_TIMEOUT);
    this.integerArg(fn, "readTimeout", readTimeout, 1, MAX_TIMEOUT);
    this.recordArgs(fn, [connectTimeout, writeTimeout, readTimeout]);
  }

  serviceSetFallbackTargets(targets: readonly string[]): void {
    const fn = F.serviceSetFallbackTargets;
    this.check(fn);
    if (!Array.isArray(targets)) throw this.argError(fn, `targets is ${kindOf(targets)}; expected an array of texts`);
    if (targets.length > MAX_FALLBACKS) {
      throw this.argError(fn, `targets has ${targets.length} items; at most ${MAX_FALLBACKS} are allowed`);
    }
    for (const [i, target] of targets.entries()) {
      this.textArg(fn, `target ${i}`, target);
      if (!isTarget(target)) {
        throw this.argError(fn, `target ${i} is ${quote(target)}; expected host:port or [IPv6]:port, port 1 to 65535`);
      }
    }
    this.recordArgs(fn, [targets]);
  }

  serviceSetTlsVerify(verify: boolean): void {
    const fn = F.serviceSetTlsVerify;
    this.check(fn);
    this.booleanArg(fn, "verify", verify);
    this.recordArgs(fn, [verify]);
  }

  serviceSetTlsVerifyDepth(depth: number): void {
    const fn = F.serviceSetTlsVerifyDepth;
    this.check(fn);
    this.integerArg(fn, "depth", depth, 0, MAX_DEPTH);
    this.recordArgs(fn, [depth]);
  }

  serviceSetTlsCertKey(certificates: string, key: string): void {
    const fn = F.serviceSetTlsCertKey;
    this.check(fn);
    this.pemArg(fn, "certificates", certificates);
    this.pemArg(fn, "key", key);
    this.recordArgs(fn, [certificates, key]);
  }

  serviceSetTlsVerifyStore(certificates: string): void {
    const fn = F.serviceSetTlsVerifyStore;
    this.check(fn);
    this.pemArg(fn, "certificates", certificates);
    this.recordArgs(fn, [certificates]);
  }

  /** Its text is not in the message: it may be a private key. */
  private pemArg(fn: PdkFunction, what: string, text: unknown): void {
    this.textArg(fn, what, text);
    if (!(text as string).includes("-----BEGIN ")) throw this.argError(fn, `${what} holds no PEM block`);
  }
}

/** A host name or an address without its brackets; null when the text is neither. */
function hostOf(text: string): string | null {
  const bracketed = text.startsWith("[");
  const host = bracketed ? (/^\[(.*)\]$/s.exec(text)?.[1] ?? "") : text;
  if (host === "" || NOT_IN_HOST.test(host)) return null;
  if (bracketed || host.includes(":")) return isIPv6(host) ? host : null;
  return host;
}

function isTarget(text: string): boolean {
  const [, host = "", port] = /^(.*):(\d{1,5})$/s.exec(text) ?? [];
  if (port === undefined || Number(port) < 1 || Number(port) > 65535) return false;
  return hostOf(host) !== null && (host.startsWith("[") || !host.includes(":"));
}
