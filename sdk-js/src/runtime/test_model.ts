import type { PhaseName } from "../plugin.js";
import type { SpanEvent, SpanStatus } from "../span.js";
import type { Consumer, ConsumerGroup, Credential, MultiMap, Route, Service } from "../values.js";
import type { LEVELS } from "./log_text.js";

/** Headers by name; a list gives several lines. */
export type TestHeaders = Readonly<Record<string, string | readonly string[]>>;

/** What the gateway says of itself and what its configuration holds; the values in brackets hold when left out. */
export interface TestNode {
  /** ["00000000-0000-4000-8000-000000000001"] */
  readonly id?: string;
  /** ["test"] */
  readonly hostname?: string;
  /** Of the gateway ["0.2.0"]. */
  readonly version?: string;
  /** [none] */
  readonly clusterId?: string;
  /** Id of the plugin configuration ["7a1f0000-0000-4000-8000-000000000001"]. */
  readonly pluginId?: string;
  /** trusted_ips [none] */
  readonly trusted?: readonly string[];
  /** Lowest level of log lines that are kept ["debug"]. */
  readonly logLevel?: (typeof LEVELS)[number];
  /** Bytes [8 MiB]. */
  readonly maxBody?: number;
  /** Bytes [64 KiB]. */
  readonly maxShared?: number;
  /** Whether telemetry.log may be used [true]. */
  readonly telemetryLogs?: boolean;
  /** Names of the upstreams that service.setUpstream finds [none]. */
  readonly upstreams?: readonly string[];
  /** Secrets by their reference, such as `{vault://env/key}` [none]. References in the plugin's configuration are resolved, too. */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Settings that node.getConfiguration answers [none]. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Bytes that node.getMemoryStats answers, by name [some]. */
  readonly memory?: Readonly<Record<string, number>>;
}

/** The client's TLS connection; the values in brackets hold when left out. */
export interface TestTls {
  /** ["TLSv1.3"] */
  readonly version?: string;
  /** ["TLS_AES_128_GCM_SHA256"] */
  readonly cipher?: string;
  /** ["SUCCESS" with a certificate, else "NONE"] */
  readonly clientVerify?: string;
  /** The client's certificates in PEM [none]. */
  readonly certificates?: string;
}

/** The client's request; the values in brackets hold when left out. */
export interface TestRequest {
  /** ["GET"] */
  readonly method?: string;
  /** Path and query, or a whole URL, which also gives scheme, host and port ["http://gw.test:8000/"]. */
  readonly url?: string;
  readonly headers?: TestHeaders;
  readonly body?: string | Uint8Array;
  /** 1, 1.1, 2 or 3 [1.1] */
  readonly httpVersion?: number;
  /** [10.0.0.9:40000, trusted if the node trusts the address] */
  readonly client?: { readonly ip?: string; readonly port?: number; readonly trusted?: boolean };
  /** [with a URL of https: TLS 1.3 without a client certificate; else none] */
  readonly tls?: TestTls;
  readonly route?: Partial<Route>;
  readonly service?: Partial<Service>;
  readonly consumer?: Partial<Consumer>;
  readonly credential?: Credential;
  /** Consumer groups that earlier plugins have set. */
  readonly groups?: readonly ConsumerGroup[];
  readonly captures?: { readonly unnamed?: readonly string[]; readonly named?: Readonly<Record<string, string>> };
  /** ctx.shared as earlier plugins left it. */
  readonly shared?: Readonly<Record<string, unknown>>;
  /** ctx.plugin as earlier phases left it. */
  readonly plugin?: Readonly<Record<string, unknown>>;
  /** Consumers that client.loadConsumer finds. */
  readonly consumers?: readonly Partial<Consumer>[];
  /** Credentials that client.loadCredential finds: by kind, then by key. */
  readonly credentials?: Readonly<Record<string, Readonly<Record<string, Credential>>>>;
  /** Groups that consumers belong to by the configuration, by the consumer's id. */
  readonly consumerGroups?: Readonly<Record<string, readonly ConsumerGroup[]>>;
  /**
   * Answers questions instead of the kit.
   *
   * @param question - canonical name of the function, such as `vault.get`; get_body asks as get_raw_body does.
   * @returns undefined leaves the question to the kit. A PDKError that it throws is the host's refusal.
   */
  readonly answer?: (question: string, args: readonly unknown[]) => unknown;
}

/** What the upstream answers. */
export interface UpstreamResponse {
  readonly status?: number;
  readonly headers?: TestHeaders;
  readonly body?: string | Uint8Array;
}

/** Where plugins sent the request, and how; null: as the service says. */
export interface TestTarget {
  readonly upstream: string | null;
  readonly host: string | null;
  readonly port: number | null;
  readonly retries: number | null;
  /** Milliseconds. */
  readonly timeouts: { readonly connect: number; readonly write: number; readonly read: number } | null;
  readonly fallbackTargets: readonly string[];
  readonly tls: {
    readonly verify: boolean | null;
    readonly verifyDepth: number | null;
    readonly certificates: string | null;
    readonly key: string | null;
    readonly store: string | null;
  };
}

/** The request as the upstream got it. */
export interface UpstreamRequest {
  readonly method: string;
  readonly scheme: string;
  readonly path: string;
  readonly query: string;
  readonly headers: MultiMap;
  readonly body: Uint8Array;
  readonly target: TestTarget;
}

/** The response as the client got it. */
export interface TestResponse {
  readonly status: number;
  readonly headers: MultiMap;
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  readonly text: string;
  /** Who made it; null while nobody has. */
  readonly source: "service" | "exit" | "error" | null;
}

export interface TestLogLine {
  readonly phase: PhaseName;
  readonly level: (typeof LEVELS)[number];
  readonly message: string;
}

/** A record of telemetry.log. */
export interface TestTelemetry {
  readonly phase: PhaseName;
  readonly pluginName: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly messageType: string;
  readonly message: string;
  readonly attributes: Readonly<Record<string, unknown>> | null;
}

/** A span as it reached the gateway. */
export interface TestSpan {
  readonly phase: PhaseName;
  /** 1, 2, … in the order in which its handler started them. */
  readonly id: number;
  /** Id of the span around it; 0: none. */
  readonly parent: number;
  readonly name: string;
  /** Microseconds since the epoch. */
  readonly start: number;
  /** Microseconds since the epoch. */
  readonly end: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly SpanEvent[];
  readonly status: SpanStatus;
  readonly message: string;
}

/** What became of a request. */
export interface TestResult {
  /** null when a plugin answered instead. */
  readonly upstream: UpstreamRequest | null;
  readonly response: TestResponse;
  readonly logs: readonly TestLogLine[];
  readonly telemetry: readonly TestTelemetry[];
  readonly spans: readonly TestSpan[];
  /** ctx.shared. */
  readonly shared: Readonly<Record<string, unknown>>;
  /** ctx.plugin. */
  readonly plugin: Readonly<Record<string, unknown>>;
  readonly consumer: Partial<Consumer> | null;
  readonly credential: Credential | null;
  readonly groups: readonly ConsumerGroup[];
  /** The log entry, as log.serialize gives it. */
  readonly entry: Readonly<Record<string, unknown>>;
}

/** The outcome of a replayed call, as it travels. */
export interface TestReplay {
  /** The body of the outcome; docs/wire.md section 6. */
  readonly outcome: Uint8Array;
  /** Bodies over 32 KiB, which the outcome names only by their length, in order. */
  readonly bodies: readonly Uint8Array[];
}

/** A handler failed: in the gateway the fail mode of the plugin would now decide. */
export class HandlerFailure extends Error {
  readonly phase: PhaseName;
  /** bad_argument, wrong_phase, bad_data, host_error, handler_error or too_large. */
  readonly code: string;
  /** Stack trace of the handler. */
  readonly detail: string;

  constructor(phase: PhaseName, code: string, message: string, detail: string) {
    super(`${phase} failed: ${message}`);
    this.name = "HandlerFailure";
    this.phase = phase;
    this.code = code;
    this.detail = detail;
  }
}
