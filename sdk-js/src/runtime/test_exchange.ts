import type { PhaseName } from "../plugin.js";
import type { Consumer, Credential } from "../values.js";
import { PHASES } from "./call_state.js";
import { type CallFacts, encodeCall } from "./encode_call.js";
import { VERSION } from "./frame.js";
import { addLines, addRequestLines, type Line, sameName, setLines, setRequestLines } from "./headers.js";
import type { Instances } from "./instances.js";
import { type Carrier, Lane } from "./lane.js";
import { LEVELS } from "./log_text.js";
import { decodeValue } from "./msgpack_read.js";
import { encodeValue } from "./msgpack_write.js";
import type { Answer, Op, Outcome } from "./ops.js";
import { firstValue, headerMap, isNil } from "./overlay.js";
import { setSerialized } from "./serialize.js";
import {
  HandlerFailure,
  type TestHeaders,
  type TestLogLine,
  type TestNode,
  type TestRequest,
  type TestResult,
  type UpstreamRequest,
  type UpstreamResponse,
} from "./test_model.js";
import { encodeText } from "./text.js";
import { CallView } from "./view.js";

const CHUNK = 32 << 10;
const RESPONSE_SOURCE = { service: 0, exit: 1, error: 2 } as const;
const SLOTS = { route: 1, service: 2, consumer: 3 } as const;

/** One request on its way; each phase may be run once the test wants it. */
export class Exchange {
  readonly #lane: Lane;
  readonly #phases: readonly PhaseName[];
  readonly #given: TestRequest;
  readonly #url: URL;
  readonly #settled = new Map<number, (outcome: Outcome) => void>();
  #calls = 0;
  #phase: PhaseName = "rewrite";
  readonly #logs: TestLogLine[] = [];
  readonly #shared = new Map<string, Uint8Array>();
  readonly #serialized: { key: string; value: unknown; mode: string }[] = [];
  #consumer: Partial<Consumer> | null;
  #credential: Credential | null;

  // The request that goes upstream.
  #method: string;
  #scheme: string;
  #path: string;
  #query: string;
  readonly #target: string;
  readonly #headers: Line[];
  #body: Uint8Array;
  #sent: UpstreamRequest | null = null;

  // The response; before there is one, its header lines gather what plugins set.
  #responseLines: Line[] = [];
  #status = 0;
  #responseBody: Uint8Array = new Uint8Array(0);
  #source: keyof typeof RESPONSE_SOURCE | null = null;
  #upstream: { status: number; headers: Line[]; body: Uint8Array } | null = null;

  constructor(instances: Instances, phases: readonly PhaseName[], node: TestNode, request: TestRequest) {
    this.#phases = phases;
    this.#given = request;
    this.#url = new URL(request.url ?? "/", "http://gw.test:8000");
    this.#target = /^https?:/.test(request.url ?? "/") ? this.#url.pathname + this.#url.search : (request.url ?? "/");
    this.#method = request.method ?? "GET";
    this.#scheme = this.#url.protocol.slice(0, -1);
    this.#path = this.#url.pathname;
    this.#query = queryOf(this.#target);
    this.#headers = linesOf({ host: this.#url.host, ...request.headers }).map(([name, value]) => [
      name.toLowerCase(),
      value,
    ]);
    this.#body = bytesOf(request.body);
    this.#consumer = request.consumer ?? null;
    this.#credential = request.credential ?? null;
    for (const [key, value] of Object.entries(request.shared ?? {})) this.#shared.set(key, encodeValue(value));
    this.#lane = new Lane(instances, this.#carrier());
    this.#lane.hello({
      version: VERSION,
      nodeId: node.id ?? "00000000-0000-4000-8000-000000000001",
      hostname: node.hostname ?? "test",
      gatewayVersion: "test",
      trustedCidrs: node.trusted ?? [],
      logLevel: LEVELS.indexOf(node.logLevel ?? "debug"),
      maxBody: node.maxBody ?? 8 << 20,
      maxShared: node.maxShared ?? 64 << 10,
      clusterId: null,
      telemetryLogs: true,
    });
  }

  /** Runs every phase that the plugin handles, with this answer of the upstream. */
  async run(upstream: UpstreamResponse = {}): Promise<TestResult> {
    for (const phase of ["rewrite", "access"] as const) {
      if (this.#phases.includes(phase) && !this.answered) await this.phase(phase);
    }
    if (!this.answered) {
      this.proxy(upstream);
      if (this.#phases.includes("response")) await this.phase("response");
    }
    if (this.#phases.includes("header_filter")) await this.phase("header_filter");
    if (this.#phases.includes("body_filter")) await this.filterBody();
    if (this.#phases.includes("log")) await this.phase("log");
    return this.result();
  }

  /** Whether a plugin has answered the client by response.exit or response.error. */
  get answered(): boolean {
    return this.#source === "exit" || this.#source === "error";
  }

  /** Sends the request upstream and takes its answer. */
  proxy(upstream: UpstreamResponse = {}): void {
    this.#sent = {
      method: this.#method,
      scheme: this.#scheme,
      path: this.#path,
      query: this.#query,
      headers: headerMap(this.#headers, this.#headers.length),
      body: this.#body,
    };
    const body = bytesOf(upstream.body);
    const headers = linesOf({ "Content-Length": String(body.length), ...upstream.headers });
    this.#upstream = { status: upstream.status ?? 200, headers, body };
    this.#source = "service";
    this.#status = this.#upstream.status;
    this.#responseLines = [...headers, ...this.#responseLines];
    this.#responseBody = body;
  }

  /** Runs one phase other than body_filter. @throws HandlerFailure */
  async phase(phase: Exclude<PhaseName, "body_filter">): Promise<void> {
    await this.#run(phase, null, false);
  }

  /** Runs body_filter for one piece; answers what the client gets of it. @throws HandlerFailure */
  async bodyFilter(chunk: Uint8Array, last: boolean): Promise<Uint8Array> {
    return (await this.#run("body_filter", chunk, last)) ?? chunk;
  }

  /** Runs body_filter for the response's body, in pieces of at most 32 KiB. */
  async filterBody(): Promise<void> {
    const body = this.#responseBody;
    const pieces: Uint8Array[] = [];
    for (let at = 0; at === 0 || at < body.length; at += CHUNK) {
      pieces.push(await this.bodyFilter(body.subarray(at, at + CHUNK), at + CHUNK >= body.length));
    }
    this.#responseBody = Buffer.concat(pieces);
  }

  /** What became of the request so far. */
  result(): TestResult {
    const body = new Uint8Array(this.#responseBody);
    const headers = headerMap(this.#responseLines, this.#responseLines.length);
    return {
      upstream: this.#sent,
      response: { status: this.#status, headers, body, text: Buffer.from(body).toString() },
      logs: this.#logs,
      shared: Object.fromEntries([...this.#shared].map(([key, value]) => [key, decodeValue(value)])),
      consumer: this.#consumer,
      credential: this.#credential,
    };
  }

  async #run(phase: PhaseName, chunk: Uint8Array | null, last: boolean): Promise<Uint8Array | null> {
    this.#phase = phase;
    this.#placeEntities();
    const id = ++this.#calls;
    const body = encodeCall(this.#facts(phase, chunk, last));
    const outcome = await new Promise<Outcome>((resolve) => {
      this.#settled.set(id, resolve);
      this.#lane.call(id, new CallView(body, 0, body.length));
    });
    if (outcome.error !== null) {
      const { code, message, detail } = outcome.error;
      throw new HandlerFailure(phase, code, message, detail);
    }
    for (const op of outcome.ops) this.#apply(op);
    return outcome.body;
  }

  #placeEntities(): void {
    const { route, service } = this.#given;
    if (route !== undefined)
      this.#lane.entity(SLOTS.route, encodeValue({ id: "route-1", protocols: ["http"], ...route }));
    if (service !== undefined) this.#lane.entity(SLOTS.service, encodeValue({ id: "service-1", ...service }));
    if (this.#consumer !== null)
      this.#lane.entity(SLOTS.consumer, encodeValue({ id: "consumer-1", ...this.#consumer }));
  }

  #facts(phase: PhaseName, chunk: Uint8Array | null, last: boolean): CallFacts {
    const { client, captures, httpVersion, route, service } = this.#given;
    return {
      instance: 1,
      phase: PHASES.indexOf(phase),
      timeoutMs: 1000,
      requestId: "00000000000000000000000000000001",
      startTime: Date.now(),
      request: {
        method: this.#method,
        scheme: this.#url.protocol.slice(0, -1),
        host: this.#url.hostname.toLowerCase(),
        port: Number(this.#url.port) || (this.#url.protocol === "https:" ? 443 : 80),
        httpVersion: Math.round((httpVersion ?? 1.1) * 10),
        target: this.#target,
        path: this.#url.pathname,
        headers: this.#headers,
        rawQuery: this.#query,
      },
      client: {
        ip: client?.ip ?? "10.0.0.9",
        port: client?.port ?? 40000,
        forwardedIp: null,
        forwardedPort: client?.port ?? 40000,
        trusted: client?.trusted ?? false,
      },
      forwarded: null,
      route: route === undefined ? null : SLOTS.route,
      service: service === undefined ? null : SLOTS.service,
      consumer: this.#consumer === null ? null : SLOTS.consumer,
      credential: this.#credential === null ? null : encodeValue(this.#credential),
      captures: { unnamed: captures?.unnamed ?? [], named: Object.entries(captures?.named ?? {}) },
      shared: [...this.#shared],
      response:
        this.#source === null
          ? null
          : { status: this.#status, headers: this.#responseLines, source: RESPONSE_SOURCE[this.#source] },
      serviceResponse: this.#upstream,
      chunk,
      last,
      requestBody: null,
      responseBody: null,
      plugin: [],
      tls: null,
      groups: [],
    };
  }

  #apply(op: Op): void {
    switch (op.kind) {
      case "header":
        this.#applyHeader(op.code, op.name, op.values);
        return;
      case "text":
      case "bytesText":
        this.#applyText(op.code, op.text);
        return;
      case "status":
        this.#status = op.status;
        return;
      case "bytes":
        if (op.code === 7) {
          this.#body = op.bytes;
          setLines(this.#headers, "content-length", [String(op.bytes.length)]);
        } else {
          this.#setBody(op.bytes);
        }
        return;
      case "exit":
        this.#answer("exit", op.status, op.headers, op.body ?? new Uint8Array(0));
        return;
      case "error": {
        const text = JSON.stringify({
          message: op.message ?? `status ${op.status}`,
          request_id: "00000000000000000000000000000001",
        });
        this.#answer(
          "error",
          op.status,
          [["Content-Type", "application/json; charset=utf-8"], ...op.headers],
          encodeText(text),
        );
        return;
      }
      case "authenticate":
        this.#consumer = op.consumer === null ? null : (decodeValue(op.consumer) as Partial<Consumer>);
        this.#credential = op.credential === null ? null : (decodeValue(op.credential) as Credential);
        return;
      case "shared":
        if (isNil(op.value)) this.#shared.delete(op.key);
        else this.#shared.set(op.key, op.value);
        return;
      case "serialize":
        this.#serialized.push({ key: op.key, value: decodeValue(op.value), mode: op.mode });
        return;
      case "flag": // buffering: the body is in memory anyway
    }
  }

  #applyHeader(code: number, name: string, values: readonly string[]): void {
    if (code === 1) setRequestLines(this.#headers, name, values);
    else if (code === 2) addRequestLines(this.#headers, name, values);
    else if (code === 21) setLines(this.#responseLines, name, values);
    else addLines(this.#responseLines, name, values);
  }

  #applyText(code: number, text: string): void {
    if (code === 3) setLines(this.#headers, text, []);
    else if (code === 4) this.#method = text;
    else if (code === 5) this.#path = text;
    else if (code === 6) this.#query = text;
    else if (code === 9) this.#scheme = text;
    else setLines(this.#responseLines, text, []);
  }

  #answer(source: "exit" | "error", status: number, headers: readonly Line[], body: Uint8Array): void {
    this.#source = source;
    this.#status = status;
    for (const name of new Set(headers.map(([name]) => name))) {
      setLines(
        this.#responseLines,
        name,
        headers.filter((line) => sameName(line[0], name)).map(([, value]) => value),
      );
    }
    const given = firstValue(headers, "content-length");
    this.#setBody(body);
    if (given !== null) setLines(this.#responseLines, "Content-Length", [given]);
  }

  #setBody(body: Uint8Array): void {
    this.#responseBody = body;
    setLines(this.#responseLines, "Content-Length", [String(body.length)]);
  }

  /** What the plugin says comes back here. */
  #carrier(): Carrier {
    return {
      outcome: (callId, outcome) => {
        this.#settled.get(callId)?.(outcome);
        this.#settled.delete(callId);
      },
      log: (_callId, level, message) => {
        this.#logs.push({ phase: this.#phase, level: LEVELS[level] ?? "emerg", message });
      },
      ask: (callId, fn, args) => {
        const answer = this.#answerTo(fn, args.map(decodeValue));
        queueMicrotask(() => this.#lane.answer(callId, answer));
      },
      close: (code, message) => {
        throw new Error(`the engine refused its own frame: ${code}: ${message}`);
      },
    };
  }

  #answerTo(fn: number, args: readonly unknown[]): Answer {
    switch (fn) {
      case 1:
        return { error: null, value: new Uint8Array(this.#body) };
      case 2:
        return { error: null, value: new Uint8Array(this.#upstream?.body ?? []) };
      case 3:
        return { error: null, value: JSON.stringify(this.#entry()) };
      case 4: {
        const [id, byName] = args;
        const found = (this.#given.consumers ?? []).find((c) => c.id === id || (byName === true && c.username === id));
        return { error: null, value: found ?? null };
      }
      case 5: {
        const kind = this.#given.credentials?.[String(args[0])];
        return { error: null, value: kind?.[String(args[1])] ?? null };
      }
      default:
        return { error: { code: "host_error", message: `question ${fn} is unknown`, detail: "" }, value: null };
    }
  }

  /** The log entry, with the fields that can be known without a gateway. */
  #entry(): Record<string, unknown> {
    const headers = Object.fromEntries(
      this.#headers.map(([name, value]) => [name, /^(proxy-)?authorization$/.test(name) ? "REDACTED" : value]),
    );
    const entry: Record<string, unknown> = {
      request: { method: this.#method, uri: this.#target, url: this.#url.href, headers, size: this.#body.length },
      response: {
        status: this.#status,
        headers: headerMap(this.#responseLines, this.#responseLines.length).toObject(),
        size: this.#responseBody.length,
      },
      latencies: { kong: 0, proxy: this.#upstream === null ? -1 : 0, request: 0 },
      client_ip: this.#given.client?.ip ?? "10.0.0.9",
      started_at: Date.now(),
      source: this.#source === "service" ? "upstream" : "kong",
      ...(this.#given.route && { route: this.#given.route }),
      ...(this.#given.service && { service: this.#given.service }),
      ...(this.#consumer && { consumer: this.#consumer }),
    };
    for (const { key, value, mode } of this.#serialized) setSerialized(entry, key, value, mode);
    return entry;
  }
}

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
