import {
  OP_RESPONSE_ADD_HEADER,
  OP_RESPONSE_CLEAR_HEADER,
  OP_RESPONSE_SET_HEADER,
  OP_SERVICE_REQUEST_ADD_HEADER,
  OP_SERVICE_REQUEST_CLEAR_HEADER,
  OP_SERVICE_REQUEST_SET_HEADER,
  OP_SERVICE_REQUEST_SET_METHOD,
  OP_SERVICE_REQUEST_SET_PATH,
  OP_SERVICE_REQUEST_SET_RAW_BODY,
  OP_SERVICE_REQUEST_SET_RAW_QUERY,
  OP_SERVICE_REQUEST_SET_SCHEME,
  OP_SERVICE_SET_FALLBACK_TARGETS,
  OP_SERVICE_SET_RETRIES,
  OP_SERVICE_SET_TARGET,
  OP_SERVICE_SET_TIMEOUTS,
  OP_SERVICE_SET_TLS_CERT_KEY,
  OP_SERVICE_SET_TLS_VERIFY,
  OP_SERVICE_SET_TLS_VERIFY_DEPTH,
  OP_SERVICE_SET_TLS_VERIFY_STORE,
  OP_SERVICE_SET_UPSTREAM,
} from "../gen/functions.js";
import { addLines, addRequestLines, type Line, sameName, setLines, setRequestLines } from "./headers.js";
import { decodeValue } from "./msgpack_read.js";
import type { Op } from "./ops.js";
import { firstValue, headerMap } from "./overlay.js";
import { errorAnswer } from "./test_errors.js";
import type {
  TestHeaders,
  TestRequest,
  TestResponse,
  TestTarget,
  UpstreamRequest,
  UpstreamResponse,
} from "./test_model.js";
import { encodeText } from "./text.js";

export const REQUEST_ID = "00000000000000000000000000000001";

/** The messages of one exchange as plugins change them. */
export class TestTraffic {
  readonly url: URL;
  /** What the client sent behind the method. */
  readonly target: string;
  /** Of the request, names in lower case. */
  readonly headers: Line[];
  method: string;
  query: string;
  body: Uint8Array;
  /** The request as the upstream got it; null: it did not. */
  sent: UpstreamRequest | null = null;
  /** What the upstream answered. */
  upstream: { status: number; headers: Line[]; body: Uint8Array } | null = null;

  // The response; before there is one, its header lines gather what plugins set.
  status = 0;
  responseLines: Line[] = [];
  responseBody: Uint8Array = new Uint8Array(0);
  source: TestResponse["source"] = null;
  /** service.request.enable_buffering was called: body_filter gets one piece. */
  buffered = false;

  #scheme: string;
  #path: string;
  #to: TestTarget = {
    upstream: null,
    host: null,
    port: null,
    retries: null,
    timeouts: null,
    fallbackTargets: [],
    tls: { verify: null, verifyDepth: null, certificates: null, key: null, store: null },
  };

  constructor(request: TestRequest) {
    const url = request.url ?? "/";
    this.url = new URL(url, "http://gw.test:8000");
    this.target = /^https?:/.test(url) ? this.url.pathname + this.url.search : url;
    this.method = request.method ?? "GET";
    this.query = queryOf(this.target);
    this.headers = linesOf({ host: this.url.host, ...request.headers }).map(([name, value]) => [
      name.toLowerCase(),
      value,
    ]);
    this.body = bytesOf(request.body);
    this.#scheme = request.service?.protocol ?? this.url.protocol.slice(0, -1);
    this.#path = this.url.pathname;
  }

  /** Path of the request to the upstream. */
  get upstreamPath(): string {
    return this.#path;
  }

  /**
   * Sends the request upstream and takes its answer.
   *
   * @param buffering - the plugin handles response: what the upstream sends wins over headers of the same name that were set before.
   */
  proxy(answer: UpstreamResponse, buffering: boolean): void {
    this.sent = {
      method: this.method,
      scheme: this.#scheme,
      path: this.#path,
      query: this.query,
      headers: headerMap(this.headers, this.headers.length),
      body: this.body,
      target: this.#to,
    };
    const body = bytesOf(answer.body);
    const headers = linesOf({ "Content-Length": String(body.length), ...answer.headers });
    const before = buffering
      ? this.responseLines.filter(([name]) => !headers.some((line) => sameName(line[0], name)))
      : this.responseLines;
    this.upstream = { status: answer.status ?? 200, headers, body };
    this.source = "service";
    this.status = this.upstream.status;
    this.responseLines = [...headers, ...before];
    this.responseBody = body;
  }

  response(): TestResponse {
    const body = new Uint8Array(this.responseBody);
    const headers = headerMap(this.responseLines, this.responseLines.length);
    return { status: this.status, headers, body, text: Buffer.from(body).toString(), source: this.source };
  }

  /** Applies an operation on a message; false when it is of another kind. */
  apply(op: Op): boolean {
    switch (op.kind) {
      case "header":
        this.#applyHeader(op.code, op.name, op.values);
        return true;
      case "text":
      case "bytesText":
        this.#applyText(op.code, op.text);
        return true;
      case "status":
        this.status = op.status;
        return true;
      case "bytes":
        if (op.code === OP_SERVICE_REQUEST_SET_RAW_BODY) this.#setRequestBody(op.bytes);
        else this.#setBody(op.bytes);
        return true;
      case "flag":
        this.buffered = true;
        return true;
      case "exit":
        this.#answer("exit", op.status, op.headers, op.body ?? new Uint8Array(0));
        return true;
      case "error": {
        const accept = firstValue(this.headers, "accept");
        const { body, headers } = errorAnswer(op.status, op.message, op.headers, accept, REQUEST_ID);
        this.#answer("error", op.status, headers, encodeText(body));
        return true;
      }
      case "generic":
        return this.#applyTarget(op.code, op.args);
      default:
        return false;
    }
  }

  #applyHeader(code: number, name: string, values: readonly string[]): void {
    if (code === OP_SERVICE_REQUEST_SET_HEADER) setRequestLines(this.headers, name, values);
    else if (code === OP_SERVICE_REQUEST_ADD_HEADER) addRequestLines(this.headers, name, values);
    else if (code === OP_RESPONSE_SET_HEADER) setLines(this.responseLines, name, values);
    else if (code === OP_RESPONSE_ADD_HEADER) addLines(this.responseLines, name, values);
  }

  #applyText(code: number, text: string): void {
    if (code === OP_SERVICE_REQUEST_CLEAR_HEADER) setLines(this.headers, text, []);
    else if (code === OP_SERVICE_REQUEST_SET_METHOD) this.method = text;
    else if (code === OP_SERVICE_REQUEST_SET_PATH) this.#path = text;
    else if (code === OP_SERVICE_REQUEST_SET_RAW_QUERY) this.query = text;
    else if (code === OP_SERVICE_REQUEST_SET_SCHEME) this.#scheme = text;
    else if (code === OP_RESPONSE_CLEAR_HEADER) setLines(this.responseLines, text, []);
  }

  #applyTarget(code: number, encoded: Uint8Array): boolean {
    const change = TARGET_CHANGES[code];
    if (change === undefined) return false;
    this.#to = { ...this.#to, ...change(decodeValue(encoded) as never, this.#to) };
    return true;
  }

  #setRequestBody(body: Uint8Array): void {
    this.body = body;
    setLines(this.headers, "content-length", [String(body.length)]);
  }

  #answer(source: "exit" | "error", status: number, headers: readonly Line[], body: Uint8Array): void {
    this.source = source;
    this.status = status;
    // The upstream's body goes, and what described it.
    if (this.upstream !== null) setLines(this.responseLines, "content-encoding", []);
    for (const name of new Set(headers.map(([name]) => name))) {
      setLines(
        this.responseLines,
        name,
        headers.filter((line) => sameName(line[0], name)).map(([, value]) => value),
      );
    }
    const given = firstValue(headers, "content-length");
    this.#setBody(body);
    if (given !== null) setLines(this.responseLines, "Content-Length", [given]);
  }

  #setBody(body: Uint8Array): void {
    this.responseBody = body;
    setLines(this.responseLines, "Content-Length", [String(body.length)]);
  }
}

/** What each operation of namespace service changes, by its code. */
const TARGET_CHANGES: Readonly<Record<number, (args: never, now: TestTarget) => Partial<TestTarget>>> = {
  [OP_SERVICE_SET_UPSTREAM]: ([upstream]: [string]) => ({ upstream, host: null, port: null }),
  [OP_SERVICE_SET_TARGET]: ([host, port]: [string, number]) => ({ upstream: null, host, port }),
  [OP_SERVICE_SET_RETRIES]: ([retries]: [number]) => ({ retries }),
  [OP_SERVICE_SET_TIMEOUTS]: ([connect, write, read]: [number, number, number]) => ({
    timeouts: { connect, write, read },
  }),
  [OP_SERVICE_SET_FALLBACK_TARGETS]: ([fallbackTargets]: [string[]]) => ({ fallbackTargets }),
  [OP_SERVICE_SET_TLS_VERIFY]: ([verify]: [boolean], { tls }) => ({ tls: { ...tls, verify } }),
  [OP_SERVICE_SET_TLS_VERIFY_DEPTH]: ([verifyDepth]: [number], { tls }) => ({ tls: { ...tls, verifyDepth } }),
  [OP_SERVICE_SET_TLS_CERT_KEY]: ([certificates, key]: [string, string], { tls }) => ({
    tls: { ...tls, certificates, key },
  }),
  [OP_SERVICE_SET_TLS_VERIFY_STORE]: ([store]: [string], { tls }) => ({ tls: { ...tls, store } }),
};

function bytesOf(body: string | Uint8Array | undefined): Uint8Array {
  if (body === undefined) return new Uint8Array(0);
  return typeof body === "string" ? encodeText(body) : new Uint8Array(body);
}

function linesOf(headers: TestHeaders): Line[] {
  return Object.entries(headers).flatMap(([name, value]) => [value].flat().map((v): Line => [name, v as string]));
}

function queryOf(target: string): string {
  const at = target.indexOf("?");
  return at < 0 ? "" : target.substring(at + 1);
}
