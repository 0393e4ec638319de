import type { Backend } from "../gen/backend.js";
import { functions as F, type PdkFunction } from "../gen/functions.js";
import type { Consumer, Credential, Route, Service } from "../values.js";
import { ResponseCall } from "./call_response.js";
import { Entity } from "./entity.js";
import { kindOf, quote } from "./headers.js";
import { logText } from "./log_text.js";
import { BadFrame, decodeValue } from "./msgpack_read.js";
import { isPlainObject } from "./msgpack_write.js";
import { isNil, SharedOverlay } from "./overlay.js";
import { MODES, serializeOver } from "./serialize.js";
import { Field } from "./view.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Positions in field client; docs/wire.md section 5. */
const ClientField = { ip: 0, port: 1, forwardedIp: 2, forwardedPort: 3 };

// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: the functions that follow in the next change
export interface Call extends Backend {}

/**
 * One handler call: answers the PDK functions from the facts of the call and records what the handler writes. The namespaces of
 * the request and of the response are in the classes that it extends.
 */
// biome-ignore lint/suspicious/noUnsafeDeclarationMerging: as above
export class Call extends ResponseCall {
  #shared: SharedOverlay | null = null;
  #identity: { consumer: Consumer | null; credential: Credential | null } | null = null;

  // client

  clientGetIp(): string {
    this.check(F.clientGetIp);
    return this.view.item(Field.client, ClientField.ip)?.text() ?? "";
  }

  clientGetForwardedIp(): string {
    this.check(F.clientGetForwardedIp);
    const item = this.view.item(Field.client, ClientField.forwardedIp) ?? this.view.item(Field.client, ClientField.ip);
    return item?.text() ?? "";
  }

  clientGetPort(): number {
    this.check(F.clientGetPort);
    return this.view.item(Field.client, ClientField.port)?.uint() ?? 0;
  }

  clientGetForwardedPort(): number | null {
    this.check(F.clientGetForwardedPort);
    return this.view.item(Field.client, ClientField.forwardedPort)?.uint() || null;
  }

  clientGetCredential(): Credential | null {
    this.check(F.clientGetCredential);
    if (this.#identity !== null) return this.#identity.credential;
    const document = this.view.reader(Field.credential)?.raw();
    return document === undefined ? null : (new Entity(document).value() as Credential);
  }

  clientGetConsumer(): Consumer | null {
    this.check(F.clientGetConsumer);
    if (this.#identity !== null) return this.#identity.consumer;
    return this.#entity(Field.consumer) as Consumer | null;
  }

  async clientLoadConsumer(id: string, byUsername: boolean): Promise<Consumer | null> {
    const fn = F.clientLoadConsumer;
    this.check(fn);
    this.textArg(fn, "id", id);
    if (typeof byUsername !== "boolean")
      throw this.argError(fn, `byUsername is ${kindOf(byUsername)}; expected a boolean`);
    if (id === "") throw this.argError(fn, "id is empty");
    if (!byUsername && !UUID.test(id)) {
      throw this.argError(fn, `id ${quote(id)} is not a UUID; set byUsername to look for a username`);
    }
    return this.#document(fn, await this.ask(fn, id, byUsername)) as Consumer | null;
  }

  async clientLoadCredential(kind: string, key: string): Promise<Credential | null> {
    const fn = F.clientLoadCredential;
    this.check(fn);
    this.textArg(fn, "kind", kind);
    this.textArg(fn, "key", key);
    if (kind === "")
      throw this.argError(fn, "kind is empty; expected the name of a collection, such as keyauth_credentials");
    return this.#document(fn, await this.ask(fn, kind, key)) as Credential | null;
  }

  clientAuthenticate(consumer: Consumer | null, credential: Credential | null): void {
    const fn = F.clientAuthenticate;
    this.check(fn);
    const encodedConsumer = this.#encodedEntity(fn, "consumer", consumer);
    const encodedCredential = this.#encodedEntity(fn, "credential", credential);
    if (encodedConsumer === null && encodedCredential === null) {
      throw this.argError(fn, "consumer and credential are both null");
    }
    this.record(fn, { kind: "authenticate", code: fn.op, consumer: encodedConsumer, credential: encodedCredential });
    this.#identity = {
      consumer: encodedConsumer === null ? null : (new Entity(encodedConsumer).value() as Consumer),
      credential: encodedCredential === null ? null : (new Entity(encodedCredential).value() as Credential),
    };
  }

  #encodedEntity(fn: PdkFunction, what: string, entity: unknown): Uint8Array | null {
    if (entity === null || entity === undefined) return null;
    if (!isPlainObject(entity)) throw this.argError(fn, `${what} is ${kindOf(entity)}; expected an object or null`);
    return this.valueArg(fn, what, entity);
  }

  /** The document of an answer, frozen. */
  #document(fn: PdkFunction, value: unknown): object | null {
    if (value === null || value === undefined) return null;
    if (!isPlainObject(value)) throw this.hostError(fn, `the host answered ${kindOf(value)}; expected a map`);
    return Object.freeze(value);
  }

  /** The entity that a field names by its slot. */
  #entity(field: number): object | null {
    const slot = this.view.reader(field)?.uint();
    if (slot === undefined) return null;
    const entity = this.entities[slot];
    if (entity === undefined) throw new BadFrame(`entity slot ${slot} is empty`);
    return entity.value();
  }

  // ctx.shared

  ctxSharedGet(key: string): unknown {
    const fn = F.ctxSharedGet;
    this.check(fn);
    this.textArg(fn, "key", key);
    if (this.#shared !== null) {
      const value = this.#shared.get(key);
      return value === undefined ? null : decodeValue(value);
    }
    const reader = this.view.reader(Field.shared);
    if (reader === null) return null;
    for (let n = reader.map(); n > 0; n--) {
      if (reader.text() === key) return reader.value();
      reader.skip();
    }
    return null;
  }

  ctxSharedSet(key: string, value: unknown): void {
    const fn = F.ctxSharedSet;
    this.check(fn);
    this.textArg(fn, "key", key);
    const encoded = this.valueArg(fn, "value", value);
    this.#shared ??= new SharedOverlay(this.#sharedFacts());
    const size = this.#shared.sizeWith(key, encoded);
    const limit = this.host.node.maxShared;
    if (limit > 0 && size > limit && !isNil(encoded)) {
      throw this.argError(
        fn,
        `with the value under ${quote(key)} ctx.shared would hold ${size} bytes; at most ${limit} (max_shared) are allowed`,
      );
    }
    this.record(fn, { kind: "shared", code: fn.op, key, value: encoded });
    this.#shared.set(key, encoded);
  }

  #sharedFacts(): Map<string, Uint8Array> {
    const values = new Map<string, Uint8Array>();
    const reader = this.view.reader(Field.shared);
    for (let n = reader?.map() ?? 0; n > 0 && reader; n--) values.set(reader.text(), reader.raw());
    return values;
  }

  // ip, node, router

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

  routerGetRoute(): Route | null {
    this.check(F.routerGetRoute);
    return this.#entity(Field.route) as Route | null;
  }

  routerGetService(): Service | null {
    this.check(F.routerGetService);
    return this.#entity(Field.service) as Service | null;
  }

  // log

  logDebug(...args: unknown[]): void {
    this.#log(F.logDebug, args);
  }

  logInfo(...args: unknown[]): void {
    this.#log(F.logInfo, args);
  }

  logNotice(...args: unknown[]): void {
    this.#log(F.logNotice, args);
  }

  logWarn(...args: unknown[]): void {
    this.#log(F.logWarn, args);
  }

  logErr(...args: unknown[]): void {
    this.#log(F.logErr, args);
  }

  logCrit(...args: unknown[]): void {
    this.#log(F.logCrit, args);
  }

  logAlert(...args: unknown[]): void {
    this.#log(F.logAlert, args);
  }

  logEmerg(...args: unknown[]): void {
    this.#log(F.logEmerg, args);
  }

  #log(fn: PdkFunction, args: readonly unknown[]): void {
    this.check(fn);
    if (fn.level < this.host.node.logLevel) return;
    this.host.log(this.id, fn.level, logText(args));
  }

  logSetSerializeValue(key: string, value: unknown, mode: string): void {
    const fn = F.logSetSerializeValue;
    this.check(fn);
    this.textArg(fn, "key", key);
    if (key === "") throw this.argError(fn, "key is empty");
    if (!MODES.includes(mode)) throw this.argError(fn, `mode ${logText([mode])} is not set, add or replace`);
    this.record(fn, { kind: "serialize", code: fn.op, key, value: this.valueArg(fn, "value", value), mode });
  }

  async logSerialize(): Promise<string> {
    const fn = F.logSerialize;
    this.check(fn);
    const entry = await this.ask(fn);
    if (typeof entry !== "string") throw this.hostError(fn, `the host answered ${kindOf(entry)}; expected text`);
    try {
      return serializeOver(entry, this.ops);
    } catch (cause) {
      throw this.hostError(fn, `the log entry is no JSON object: ${logText([cause])}`);
    }
  }
}
