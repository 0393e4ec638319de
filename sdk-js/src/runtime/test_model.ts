import type { PhaseName } from "../plugin.js";
import type { Consumer, Credential, MultiMap, Route, Service } from "../values.js";
import type { LEVELS } from "./log_text.js";

/** Headers by name; a list gives several lines. */
export type TestHeaders = Readonly<Record<string, string | readonly string[]>>;

/** What the gateway says of itself; the values in brackets hold when left out. */
export interface TestNode {
  /** ["00000000-0000-4000-8000-000000000001"] */
  readonly id?: string;
  /** ["test"] */
  readonly hostname?: string;
  /** trusted_ips [none] */
  readonly trusted?: readonly string[];
  /** Lowest level of log lines that are kept ["debug"]. */
  readonly logLevel?: (typeof LEVELS)[number];
  /** Bytes [8 MiB]. */
  readonly maxBody?: number;
  /** Bytes [64 KiB]. */
  readonly maxShared?: number;
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
  /** [10.0.0.9:40000, not trusted] */
  readonly client?: { readonly ip?: string; readonly port?: number; readonly trusted?: boolean };
  readonly route?: Partial<Route>;
  readonly service?: Partial<Service>;
  readonly consumer?: Partial<Consumer>;
  readonly credential?: Credential;
  readonly captures?: { readonly unnamed?: readonly string[]; readonly named?: Readonly<Record<string, string>> };
  /** ctx.shared as earlier plugins left it. */
  readonly shared?: Readonly<Record<string, unknown>>;
  /** Consumers that client.load_consumer finds. */
  readonly consumers?: readonly Partial<Consumer>[];
  /** Credentials that client.load_credential finds: by kind, then by key. */
  readonly credentials?: Readonly<Record<string, Readonly<Record<string, Credential>>>>;
}

/** What the upstream answers. */
export interface UpstreamResponse {
  readonly status?: number;
  readonly headers?: TestHeaders;
  readonly body?: string | Uint8Array;
}

/** The request as the upstream got it. */
export interface UpstreamRequest {
  readonly method: string;
  readonly scheme: string;
  readonly path: string;
  readonly query: string;
  readonly headers: MultiMap;
  readonly body: Uint8Array;
}

/** The response as the client got it. */
export interface TestResponse {
  readonly status: number;
  readonly headers: MultiMap;
  readonly body: Uint8Array;
  /** The body as UTF-8. */
  readonly text: string;
}

export interface TestLogLine {
  readonly phase: PhaseName;
  readonly level: (typeof LEVELS)[number];
  readonly message: string;
}

/** What became of a request. */
export interface TestResult {
  /** null when a plugin answered instead. */
  readonly upstream: UpstreamRequest | null;
  readonly response: TestResponse;
  readonly logs: readonly TestLogLine[];
  readonly shared: Readonly<Record<string, unknown>>;
  readonly consumer: Partial<Consumer> | null;
  readonly credential: Credential | null;
}

/** A handler failed: in the gateway the fail mode of the plugin would now decide. */
export class HandlerFailure extends Error {
  readonly phase: PhaseName;
  /** bad_argument, wrong_phase, bad_data, host_error or handler_error. */
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
