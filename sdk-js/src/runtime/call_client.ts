import { functions as F, type PdkFunction } from "../gen/functions.js";
import type { Consumer, ConsumerGroup, ConsumerGroups, Credential, Route, Service } from "../values.js";
import { ServiceCall } from "./call_service.js";
import { Entity } from "./entity.js";
import { kindOf, quote, sameName } from "./headers.js";
import { logText } from "./log_text.js";
import { BadFrame } from "./msgpack_read.js";
import { isPlainObject } from "./msgpack_write.js";
import { Field } from "./view.js";

/** Positions in field client; docs/wire.md section 5. */
const ClientField = { ip: 0, port: 1, forwardedIp: 2, forwardedPort: 3, trusted: 4 };

/** Positions in field tls. */
const TlsField = { version: 0, cipher: 1, clientVerify: 2, hasCertificate: 3 };

const MAX_GROUPS = 100;
const NO_GROUPS: ConsumerGroups = Object.freeze([]);

/** Namespaces client, client.tls and router. */
export class ClientCall extends ServiceCall {
  clientGetIp(): string {
    this.check(F.clientGetIp);
    return this.view.itemText(Field.client, ClientField.ip) ?? "";
  }

  clientGetForwardedIp(): string {
    this.check(F.clientGetForwardedIp);
    const ip = this.view.itemText(Field.client, ClientField.forwardedIp);
    return ip ?? this.view.itemText(Field.client, ClientField.ip) ?? "";
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
    if (this.written.identity !== null) return this.written.identity.credential;
    const document = this.view.reader(Field.credential)?.raw();
    return document === undefined ? null : (new Entity(document).value() as Credential);
  }

  clientGetConsumer(): Consumer | null {
    this.check(F.clientGetConsumer);
    if (this.written.identity !== null) return this.written.identity.consumer;
    return this.entity(Field.consumer) as Consumer | null;
  }

  clientGetProtocol(allowTerminated: boolean): string {
    const fn = F.clientGetProtocol;
    this.check(fn);
    this.booleanArg(fn, "allowTerminated", allowTerminated);
    const route = this.entity(Field.route) as Partial<Route> | null;
    if (route === null) throw this.dataError(fn, "no route matched");
    const { protocols = [] } = route;
    if (protocols.length === 1) return protocols[0] as string;
    const scheme = this.scheme();
    if (scheme === "https" || !allowTerminated || !this.trustedPeer()) return scheme;
    const forwarded = this.requestLines().filter(([name]) => sameName(name, "x-forwarded-proto"));
    const [, value = ""] = forwarded[0] ?? [];
    if (forwarded.length > 1 || value.includes(",")) throw this.dataError(fn, "several X-Forwarded-Proto headers");
    return value.toLowerCase() === "https" ? "https" : scheme;
  }

  private trustedPeer(): boolean {
    return this.view.item(Field.client, ClientField.trusted)?.bool() ?? false;
  }

  async clientLoadConsumer(id: string, byUsername: boolean): Promise<Consumer | null> {
    const fn = F.clientLoadConsumer;
    this.check(fn);
    this.booleanArg(fn, "byUsername", byUsername);
    if (byUsername) this.nameArg(fn, "id", id);
    else this.uuidArg(fn, "id", id, "; set byUsername to look for a username");
    return this.document(fn, await this.ask(fn, id, byUsername)) as Consumer | null;
  }

  async clientLoadCredential(kind: string, key: string): Promise<Credential | null> {
    const fn = F.clientLoadCredential;
    this.check(fn);
    this.textArg(fn, "kind", kind);
    this.textArg(fn, "key", key);
    if (kind === "")
      throw this.argError(fn, "kind is empty; expected the name of a collection, such as keyauth_credentials");
    return this.document(fn, await this.ask(fn, kind, key)) as Credential | null;
  }

  clientAuthenticate(consumer: Consumer | null, credential: Credential | null): void {
    const fn = F.clientAuthenticate;
    this.check(fn);
    const encodedConsumer = this.encodedEntity(fn, "consumer", consumer);
    const encodedCredential = this.encodedEntity(fn, "credential", credential);
    if (encodedConsumer === null && encodedCredential === null) {
      throw this.argError(fn, "consumer and credential are both null");
    }
    this.record({ kind: "authenticate", code: fn.op, consumer: encodedConsumer, credential: encodedCredential });
    this.writes().identity = {
      consumer: encodedConsumer === null ? null : (new Entity(encodedConsumer).value() as Consumer),
      credential: encodedCredential === null ? null : (new Entity(encodedCredential).value() as Credential),
    };
  }

  private encodedEntity(fn: PdkFunction, what: string, entity: unknown): Uint8Array | null {
    if (entity === null || entity === undefined) return null;
    if (!isPlainObject(entity)) throw this.argError(fn, `${what} is ${kindOf(entity)}; expected an object or null`);
    return this.valueArg(fn, what, entity);
  }

  /** The document of an answer, frozen. */
  private document(fn: PdkFunction, value: unknown): object | null {
    if (value === null || value === undefined) return null;
    if (!isPlainObject(value)) throw this.hostError(fn, `the host answered ${kindOf(value)}; expected a map`);
    return Object.freeze(value);
  }

  // Consumer groups.

  clientGetConsumerGroup(): ConsumerGroup | null {
    this.check(F.clientGetConsumerGroup);
    return this.knownGroups()[0] ?? null;
  }

  clientGetConsumerGroups(): ConsumerGroups {
    this.check(F.clientGetConsumerGroups);
    return this.knownGroups();
  }

  clientSetAuthenticatedConsumerGroup(group: ConsumerGroup | null): void {
    const fn = F.clientSetAuthenticatedConsumerGroup;
    this.check(fn);
    this.setGroups(group === null ? [] : [this.groupArg(fn, "group", group)], "write");
  }

  clientSetAuthenticatedConsumerGroups(groups: ConsumerGroups, mode: string): void {
    const fn = F.clientSetAuthenticatedConsumerGroups;
    this.check(fn);
    if (!Array.isArray(groups)) throw this.argError(fn, `groups is ${kindOf(groups)}; expected an array`);
    if (groups.length > MAX_GROUPS) {
      throw this.argError(fn, `groups has ${groups.length} items; at most ${MAX_GROUPS} are allowed`);
    }
    const given = groups.map((group, i) => this.groupArg(fn, `group ${i}`, group));
    if (mode !== "write" && mode !== "append")
      throw this.argError(fn, `mode ${logText([mode])} is not write or append`);
    this.setGroups(given, mode);
  }

  async clientAuthenticateConsumerGroupByConsumerId(consumerId: string): Promise<ConsumerGroups> {
    const fn = F.clientAuthenticateConsumerGroupByConsumerId;
    this.check(fn);
    this.uuidArg(fn, "consumerId", consumerId);
    const answer = (await this.ask(fn, consumerId)) ?? [];
    if (!Array.isArray(answer) || !answer.every(isPlainObject)) {
      throw this.hostError(fn, `the host answered ${kindOf(answer)}; expected an array of maps`);
    }
    const groups = answer.map(({ id, name }) => {
      const known = this.textAnswer(fn, id ?? null);
      if (known === null) throw this.hostError(fn, "the host answered a group without id");
      return groupOf(known, this.textAnswer(fn, name ?? null) ?? "");
    });
    this.setGroups(groups, "write");
    return this.knownGroups();
  }

  private groupArg(fn: PdkFunction, what: string, group: unknown): ConsumerGroup {
    if (!isPlainObject(group)) throw this.argError(fn, `${what} is ${kindOf(group)}; expected an object with an id`);
    const { id, name = "" } = group;
    this.textArg(fn, `id of ${what}`, id);
    this.textArg(fn, `name of ${what}`, name ?? "");
    if (id === "") throw this.argError(fn, `${what} has no id`);
    return groupOf(id as string, (name ?? "") as string);
  }

  private setGroups(groups: ConsumerGroups, mode: "write" | "append"): void {
    this.recordArgs(F.clientSetAuthenticatedConsumerGroups, [groups.map(({ id, name = "" }) => [id, name]), mode]);
    const known = mode === "append" ? [...this.knownGroups()] : [];
    for (const group of groups) {
      if (mode === "write" || !known.some(({ id }) => id === group.id)) known.push(group);
    }
    this.writes().groups = Object.freeze(known);
  }

  private knownGroups(): ConsumerGroups {
    return this.written.groups ?? this.groupFacts();
  }

  private groupFacts(): ConsumerGroups {
    const reader = this.view.reader(Field.groups);
    if (reader === null) return NO_GROUPS;
    const groups: ConsumerGroup[] = [];
    for (let n = reader.array(); n > 0; n--) {
      const fields = reader.array();
      groups.push(groupOf(fields > 0 ? reader.text() : "", fields > 1 ? reader.text() : ""));
      for (let i = 2; i < fields; i++) reader.skip();
    }
    return Object.freeze(groups);
  }

  // client.tls

  async clientTlsGetFullClientCertificateChain(): Promise<string | null> {
    const fn = F.clientTlsGetFullClientCertificateChain;
    this.check(fn);
    if (!(this.view.item(Field.tls, TlsField.hasCertificate)?.bool() ?? false)) return null;
    return this.textAnswer(fn, await this.ask(fn));
  }

  clientTlsSetClientVerify(result: string): void {
    const fn = F.clientTlsSetClientVerify;
    this.check(fn);
    this.textArg(fn, "result", result);
    if (!/^(?:SUCCESS|NONE|FAILED:.+)$/s.test(result)) {
      throw this.argError(fn, `result ${quote(result)} is not SUCCESS, NONE, or FAILED: with a reason`);
    }
    this.recordArgs(fn, [result]);
  }

  protected tlsVersion(): string | null {
    return this.view.itemText(Field.tls, TlsField.version) ?? null;
  }

  // router

  routerGetRoute(): Route | null {
    this.check(F.routerGetRoute);
    return this.entity(Field.route) as Route | null;
  }

  routerGetService(): Service | null {
    this.check(F.routerGetService);
    return this.entity(Field.service) as Service | null;
  }

  /** The entity that a field names by its slot. */
  private entity(field: number): object | null {
    const slot = this.view.reader(field)?.uint();
    if (slot === undefined) return null;
    const entity = this.entities[slot];
    if (entity === undefined) throw new BadFrame(`entity slot ${slot} is empty`);
    return entity.value();
  }
}

function groupOf(id: string, name: string): ConsumerGroup {
  return Object.freeze({ id, name });
}
