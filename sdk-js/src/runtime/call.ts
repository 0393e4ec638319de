import type { Backend } from "../gen/backend.js";
import { functions as F, type PdkFunction } from "../gen/functions.js";
import type { Reference } from "../values.js";
import { LogCall } from "./call_log.js";
import { kindOf } from "./headers.js";
import { logText } from "./log_text.js";
import { isPlainObject } from "./msgpack_write.js";
import { BadReference, isReference, parseReference } from "./vault_reference.js";
import { Field } from "./view.js";

const MEMORY_UNITS = ["b", "k", "m", "g"];
const MAX_SCALE = 10;

/**
 * One handler call: answers the PDK functions from the facts of the call and records what the handler writes. Here are the namespaces
 * of the node; the others are in the classes that it extends, one layer for each topic. The private methods of these layers are
 * TypeScript's: JavaScript's own would add something to every object, once for each layer.
 */
export class Call extends LogCall implements Backend {
  // ip, node, cluster, plugin

  ipIsTrusted(address: string): boolean {
    this.check(F.ipIsTrusted);
    this.textArg(F.ipIsTrusted, "address", address);
    return this.host.node.isTrusted(address);
  }

  nodeGetId(): string {
    this.check(F.nodeGetId);
    return this.host.node.id;
  }

  nodeGetHostname(): string {
    this.check(F.nodeGetHostname);
    return this.host.node.hostname;
  }

  nodeGetVersion(): string {
    this.check(F.nodeGetVersion);
    return this.host.node.version;
  }

  async nodeGetMemoryStats(unit: string, scale: number): Promise<Record<string, unknown>> {
    const fn = F.nodeGetMemoryStats;
    this.check(fn);
    this.textArg(fn, "unit", unit);
    const lower = unit.toLowerCase();
    if (!MEMORY_UNITS.includes(lower)) throw this.argError(fn, `unit ${logText([unit])} is not b, k, m or g`);
    this.integerArg(fn, "scale", scale, 0, MAX_SCALE);
    return this.mapAnswer(fn, await this.ask(fn, lower, scale));
  }

  async nodeGetConfiguration(): Promise<Record<string, unknown>> {
    const fn = F.nodeGetConfiguration;
    this.check(fn);
    return this.mapAnswer(fn, await this.ask(fn));
  }

  clusterGetId(): string | null {
    this.check(F.clusterGetId);
    return this.host.node.clusterId;
  }

  pluginGetId(): string {
    this.check(F.pluginGetId);
    return this.recordId;
  }

  // nginx

  nginxGetSubsystem(): string {
    this.check(F.nginxGetSubsystem);
    return "http";
  }

  nginxGetTls1VersionStr(): string | null {
    this.check(F.nginxGetTls1VersionStr);
    return this.tlsVersion();
  }

  nginxReqStartTime(): number {
    this.check(F.nginxReqStartTime);
    return this.view.uint(Field.startTime) / 1000;
  }

  async nginxGetVar(name: string): Promise<string | null> {
    const fn = F.nginxGetVar;
    this.check(fn);
    this.textArg(fn, "name", name);
    return this.textAnswer(fn, await this.ask(fn, name));
  }

  async nginxGetStatistics(): Promise<Record<string, unknown>> {
    const fn = F.nginxGetStatistics;
    this.check(fn);
    return this.mapAnswer(fn, await this.ask(fn));
  }

  // vault

  vaultIsReference(text: string): boolean {
    this.check(F.vaultIsReference);
    this.textArg(F.vaultIsReference, "text", text);
    return isReference(text);
  }

  vaultParseReference(text: string): Reference {
    this.check(F.vaultParseReference);
    return this.referenceArg(F.vaultParseReference, text);
  }

  async vaultGet(text: string): Promise<string> {
    const fn = F.vaultGet;
    this.check(fn);
    this.referenceArg(fn, text);
    const secret = this.textAnswer(fn, await this.ask(fn, text));
    if (secret === null) throw this.hostError(fn, "the host answered null; expected text");
    return secret;
  }

  private referenceArg(fn: PdkFunction, text: unknown): Reference {
    this.textArg(fn, "text", text);
    try {
      return parseReference(text as string);
    } catch (cause) {
      if (cause instanceof BadReference) throw this.dataError(fn, cause.message);
      throw cause;
    }
  }

  async vaultUpdate(options: Record<string, unknown>): Promise<Record<string, unknown>> {
    const fn = F.vaultUpdate;
    this.check(fn);
    this.mapArg(fn, "options", options);
    const { $refs = {} } = options;
    if (!isPlainObject($refs)) throw this.argError(fn, `$refs is ${kindOf($refs)}; expected an object of texts`);
    for (const [name, reference] of Object.entries($refs)) this.textArg(fn, `$refs.${name}`, reference);
    this.valueArg(fn, "options", options);
    return this.mapAnswer(fn, await this.ask(fn, options));
  }
}
