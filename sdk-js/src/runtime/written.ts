import type { Consumer, ConsumerGroups, Credential } from "../values.js";
import type { LineOverlay, ValueOverlay } from "./overlay.js";
import type { Trace } from "./trace.js";

/**
 * What a handler has written and what it has been answered: reads see it instead of the facts of the call. null: still those of the
 * facts. It is one object, made at the first write, because most calls need little of it.
 */
export class Written {
  requestHeaders: LineOverlay | null = null;
  method: string | null = null;
  rawQuery: string | null = null;
  requestBody: Uint8Array | null = null;
  responseStatus: number | null = null;
  responseHeaders: LineOverlay | null = null;
  /** The body that the client would get. */
  responseBody: Uint8Array | null = null;
  /** The body of the upstream's response. */
  upstreamBody: Uint8Array | null = null;
  identity: { consumer: Consumer | null; credential: Credential | null } | null = null;
  groups: ConsumerGroups | null = null;
  shared: ValueOverlay | null = null;
  plugin: ValueOverlay | null = null;
  /** By key, each one MessagePack value. */
  cache: Map<string, Uint8Array> | null = null;
  /** The spans that the handler has started. */
  trace: Trace | null = null;

  /** What the next step of the call begins with: all but what belongs to one instance, or is answered by the host. */
  handOn(): Written {
    const next = Object.assign(new Written(), this);
    next.plugin = null;
    next.cache = null;
    next.trace = null;
    return next;
  }
}

/** Of calls that have written nothing; nobody writes into it. */
export const NOTHING_WRITTEN: Readonly<Written> = new Written();
