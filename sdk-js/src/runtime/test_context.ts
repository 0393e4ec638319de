import {
  OP_CACHE_DELETE,
  OP_CACHE_SET,
  OP_CLIENT_SET_AUTHENTICATED_CONSUMER_GROUPS,
  OP_CLIENT_TLS_SET_CLIENT_VERIFY,
  OP_CTX_SHARED_SET,
  OP_TELEMETRY_LOG,
  OP_TRACING_START_SPAN,
} from "../gen/functions.js";
import type { PhaseName } from "../plugin.js";
import type { SpanStatus } from "../span.js";
import type { Consumer, ConsumerGroup, Credential } from "../values.js";
import { decodeValue } from "./msgpack_read.js";
import { encodeValue } from "./msgpack_write.js";
import type { Op } from "./ops.js";
import { isNil } from "./overlay.js";
import { setSerialized } from "./serialize.js";
import type { TestRequest, TestSpan, TestTelemetry } from "./test_model.js";

/** Values by key, each one MessagePack value. */
export type TestValues = Map<string, Uint8Array>;

/** The plugin's cache: values with the time, in milliseconds since the epoch, until which they are kept. */
export type TestCache = Map<string, { readonly value: unknown; readonly until: number }>;

/** What plugins keep for one request beside its messages. */
export class TestContext {
  readonly shared: TestValues;
  readonly plugin: TestValues;
  readonly telemetry: TestTelemetry[] = [];
  readonly spans: TestSpan[] = [];
  consumer: Partial<Consumer> | null;
  credential: Credential | null;
  groups: readonly ConsumerGroup[];
  clientVerify: string | null;
  readonly #cache: TestCache;
  readonly #serialized: { readonly key: string; readonly value: unknown; readonly mode: string }[] = [];

  constructor(request: TestRequest, clientVerify: string | null, cache: TestCache) {
    this.shared = valuesOf(request.shared);
    this.plugin = valuesOf(request.plugin);
    this.consumer = request.consumer ?? null;
    this.credential = request.credential ?? null;
    this.groups = request.groups ?? [];
    this.clientVerify = clientVerify;
    this.#cache = cache;
  }

  /** Changes a log entry as log.set_serialize_value said. */
  serializeOver(entry: Record<string, unknown>): void {
    for (const { key, value, mode } of this.#serialized) setSerialized(entry, key, value, mode);
  }

  /** Applies an operation that is not on a message. */
  apply(op: Op, phase: PhaseName): void {
    switch (op.kind) {
      case "authenticate":
        this.consumer = op.consumer === null ? null : (decodeValue(op.consumer) as Partial<Consumer>);
        this.credential = op.credential === null ? null : (decodeValue(op.credential) as Credential);
        return;
      case "shared": {
        const values = op.code === OP_CTX_SHARED_SET ? this.shared : this.plugin;
        if (isNil(op.value)) values.delete(op.key);
        else values.set(op.key, op.value);
        return;
      }
      case "serialize":
        this.#serialized.push({ key: op.key, value: decodeValue(op.value), mode: op.mode });
        return;
      case "generic":
        this.#applyGeneric(op.code, decodeValue(op.args) as unknown[], phase);
    }
  }

  #applyGeneric(code: number, args: readonly unknown[], phase: PhaseName): void {
    switch (code) {
      case OP_CLIENT_SET_AUTHENTICATED_CONSUMER_GROUPS:
        this.#setGroups(args[0] as [string, string][], args[1] as string);
        return;
      case OP_CLIENT_TLS_SET_CLIENT_VERIFY:
        this.clientVerify = args[0] as string;
        return;
      case OP_TELEMETRY_LOG: {
        const [pluginName, config, messageType, message, attributes] = args as never as [
          string,
          Record<string, unknown>,
          string,
          string,
          Record<string, unknown> | null,
        ];
        this.telemetry.push({ phase, pluginName, config, messageType, message, attributes });
        return;
      }
      case OP_TRACING_START_SPAN:
        this.spans.push(spanOf(args[0] as Record<string, unknown>, phase));
        return;
      case OP_CACHE_SET:
        this.#cacheSet(args[0] as string, args[1], args[2] as number);
        return;
      case OP_CACHE_DELETE:
        this.#cache.delete(args[0] as string);
    }
  }

  #setGroups(given: readonly [id: string, name: string][], mode: string): void {
    const groups = mode === "append" ? [...this.groups] : [];
    for (const [id, name] of given) {
      if (mode !== "append" || !groups.some((group) => group.id === id)) groups.push({ id, name });
    }
    this.groups = groups;
  }

  #cacheSet(key: string, value: unknown, ttl: number): void {
    if (value === null) this.#cache.delete(key);
    else this.#cache.set(key, { value, until: ttl === 0 ? Number.POSITIVE_INFINITY : Date.now() + ttl * 1000 });
  }
}

function valuesOf(given: Readonly<Record<string, unknown>> = {}): TestValues {
  return new Map(Object.entries(given).map(([key, value]) => [key, encodeValue(value)]));
}

/** The values as they are. */
export function plainValues(values: TestValues): Record<string, unknown> {
  return Object.fromEntries([...values].map(([key, value]) => [key, decodeValue(value)]));
}

function spanOf(record: Record<string, unknown>, phase: PhaseName): TestSpan {
  const events = (record.events as [string, number, Record<string, unknown>][]).map(([name, time, attributes]) => ({
    name,
    time,
    attributes,
  }));
  return { ...(record as unknown as TestSpan), status: record.status as SpanStatus, events, phase };
}
