import type { PhaseName } from "../plugin.js";
import { PHASES } from "./call_state.js";
import type { CallFacts } from "./encode_call.js";
import { VERSION } from "./frame.js";
import type { Instances } from "./instances.js";
import { LEVELS } from "./log_text.js";
import { encodeValue, Writer } from "./msgpack_write.js";
import { type HostHello, Node } from "./node.js";
import { largeBodies, writeOutcome } from "./ops.js";
import { firstValue } from "./overlay.js";
import { answerOf, logEntry, maxBodyOf, type TestWorld } from "./test_answers.js";
import { TestCalls } from "./test_calls.js";
import { plainValues, type TestCache, TestContext } from "./test_context.js";
import { forwardedFacts, realAddress } from "./test_forwarded.js";
import {
  HandlerFailure,
  type TestLogLine,
  type TestNode,
  type TestReplay,
  type TestRequest,
  type TestResult,
  type UpstreamResponse,
} from "./test_model.js";
import { REQUEST_ID, TestTraffic } from "./test_traffic.js";
import { CallView } from "./view.js";

const CHUNK = 32 << 10;
const RESPONSE_SOURCE = { service: 0, exit: 1, error: 2 } as const;
const SLOTS = { route: 1, service: 2, consumer: 3 } as const;

/** One request on its way; each phase may be run once the test wants it. */
export class Exchange {
  readonly #phases: readonly PhaseName[];
  readonly #node: TestNode;
  readonly #request: TestRequest;
  readonly #trusts: Node;
  readonly #calls: TestCalls;
  readonly #traffic: TestTraffic;
  readonly #tls: CallFacts["tls"];
  readonly #context: TestContext;
  readonly #cache: TestCache;
  readonly #startTime = Date.now();
  readonly #logs: TestLogLine[] = [];
  #phase: PhaseName = "rewrite";

  constructor(
    instances: Instances,
    phases: readonly PhaseName[],
    node: TestNode,
    request: TestRequest,
    cache: TestCache = new Map(),
  ) {
    this.#phases = phases;
    this.#node = node;
    this.#request = request;
    this.#traffic = new TestTraffic(request);
    this.#tls = tlsFacts(request, this.#traffic.url.protocol === "https:");
    this.#context = new TestContext(request, this.#tls?.clientVerify ?? null, cache);
    this.#cache = cache;
    const hello = helloOf(node);
    this.#trusts = new Node(hello);
    this.#calls = new TestCalls(instances, hello, {
      answer: async (question, args) => {
        const given = await request.answer?.(question, args);
        return given === undefined ? answerOf(this.#world(), question, args) : given;
      },
      log: (level, message) => this.#logs.push({ phase: this.#phase, level: LEVELS[level] ?? "emerg", message }),
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
    const { source } = this.#traffic;
    return source === "exit" || source === "error";
  }

  /** Sends the request upstream and takes its answer. */
  proxy(upstream: UpstreamResponse = {}): void {
    this.#traffic.proxy(upstream, this.#phases.includes("response"));
  }

  /** Runs one phase other than body_filter. @throws HandlerFailure */
  async phase(phase: Exclude<PhaseName, "body_filter">): Promise<void> {
    await this.#run(phase, null, false);
  }

  /** Runs body_filter for one piece; answers what the client gets of it. @throws HandlerFailure */
  async bodyFilter(chunk: Uint8Array, last: boolean): Promise<Uint8Array> {
    return (await this.#run("body_filter", chunk, last)) ?? chunk;
  }

  /** Runs body_filter for the response's body, in pieces of at most 32 KiB, or in one when the plugin has enabled buffering. */
  async filterBody(): Promise<void> {
    const body = this.#traffic.responseBody;
    const size = this.#traffic.buffered ? Math.max(CHUNK, body.length) : CHUNK;
    const pieces: Uint8Array[] = [];
    for (let at = 0; at === 0 || at < body.length; at += size) {
      pieces.push(await this.bodyFilter(body.subarray(at, at + size), at + size >= body.length));
    }
    this.#traffic.responseBody = Buffer.concat(pieces);
  }

  /** What became of the request so far. */
  result(): TestResult {
    const { telemetry, spans, shared, plugin, consumer, credential, groups } = this.#context;
    return {
      upstream: this.#traffic.sent,
      response: this.#traffic.response(),
      logs: this.#logs,
      telemetry,
      spans,
      shared: plainValues(shared),
      plugin: plainValues(plugin),
      consumer,
      credential,
      groups,
      entry: logEntry(this.#world()),
    };
  }

  /**
   * Runs the handler on a call as it travels (docs/wire.md section 5), whatever this request is: a recorded call, or one that no request can
   * say. What the handler wrote is applied to this exchange.
   *
   * @param entities - documents by the slot under which the call names them, one MessagePack map each.
   * @returns the outcome as it travels; a handler that failed is such an outcome too.
   */
  async replay(call: Uint8Array, entities: Readonly<Record<number, Uint8Array>> = {}): Promise<TestReplay> {
    const body = Buffer.from(call);
    this.#phase = PHASES[new CallView(body, 0, body.length).phase] as PhaseName;
    for (const [slot, document] of Object.entries(entities)) this.#calls.entity(Number(slot), document);
    const outcome = await this.#calls.replay(body);
    for (const op of outcome.ops) if (!this.#traffic.apply(op)) this.#context.apply(op, this.#phase);
    const writer = new Writer();
    writeOutcome(writer, outcome);
    return { outcome: new Uint8Array(writer.take()), bodies: largeBodies(outcome) };
  }

  async #run(phase: PhaseName, chunk: Uint8Array | null, last: boolean): Promise<Uint8Array | null> {
    this.#phase = phase;
    this.#placeEntities();
    const { error, ops, body } = await this.#calls.run(this.#facts(phase, chunk, last));
    if (error !== null) throw new HandlerFailure(phase, error.code, error.message, error.detail);
    for (const op of ops) if (!this.#traffic.apply(op)) this.#context.apply(op, phase);
    return body;
  }

  #world(): TestWorld {
    return {
      node: this.#node,
      request: this.#request,
      traffic: this.#traffic,
      context: this.#context,
      cache: this.#cache,
      facts: this.#facts(this.#phase, null, false),
    };
  }

  #placeEntities(): void {
    const { route, service } = this.#request;
    const { consumer } = this.#context;
    if (route !== undefined)
      this.#calls.entity(SLOTS.route, encodeValue({ id: "route-1", protocols: ["http"], ...route }));
    if (service !== undefined) this.#calls.entity(SLOTS.service, encodeValue({ id: "service-1", ...service }));
    if (consumer !== null) this.#calls.entity(SLOTS.consumer, encodeValue({ id: "consumer-1", ...consumer }));
  }

  #facts(phase: PhaseName, chunk: Uint8Array | null, last: boolean): CallFacts {
    const { captures, httpVersion, route, service } = this.#request;
    const { url, target, headers, method, query, source, status, responseLines, upstream } = this.#traffic;
    const { shared, plugin, consumer, credential, groups } = this.#context;
    const request: CallFacts["request"] = {
      method,
      scheme: url.protocol.slice(0, -1),
      host: url.hostname.toLowerCase(),
      port: Number(url.port) || (url.protocol === "https:" ? 443 : 80),
      httpVersion: Math.round((httpVersion ?? 1.1) * 10),
      target,
      path: url.pathname,
      headers,
      rawQuery: query,
    };
    const client = this.#client();
    return {
      instance: 1,
      phase: PHASES.indexOf(phase),
      timeoutMs: 1000,
      requestId: REQUEST_ID,
      startTime: this.#startTime,
      request,
      client,
      forwarded: client.trusted ? forwardedFacts(headers, request, url.pathname) : null,
      route: route === undefined ? null : SLOTS.route,
      service: service === undefined ? null : SLOTS.service,
      consumer: consumer === null ? null : SLOTS.consumer,
      credential: credential === null ? null : encodeValue(credential),
      captures: { unnamed: captures?.unnamed ?? [], named: Object.entries(captures?.named ?? {}) },
      shared: [...shared],
      response: source === null ? null : { status, headers: responseLines, source: RESPONSE_SOURCE[source] },
      serviceResponse: upstream,
      chunk,
      last,
      requestBody: null,
      responseBody: null,
      plugin: [...plugin],
      tls: this.#tls,
      groups: groups.map(({ id, name = "" }) => ({ id, name })),
      trace: traceFacts(headers),
      prefetched: [],
      steps: [],
    };
  }

  #client(): CallFacts["client"] {
    const { ip = "10.0.0.9", port = 40000, trusted = this.#trusts.isTrusted(ip) } = this.#request.client ?? {};
    const real = trusted ? realAddress(this.#traffic.headers) : null;
    return { ip, port, forwardedIp: real?.ip ?? null, forwardedPort: real === null ? port : real.port, trusted };
  }
}

/** The trace context that the request brings, as the one of the call. */
function traceFacts(headers: CallFacts["request"]["headers"]): CallFacts["trace"] {
  const parent = firstValue(headers, "traceparent");
  return parent === null ? null : { parent, state: firstValue(headers, "tracestate") ?? "" };
}

function helloOf(node: TestNode): HostHello {
  return {
    version: VERSION,
    nodeId: node.id ?? "00000000-0000-4000-8000-000000000001",
    hostname: node.hostname ?? "test",
    gatewayVersion: node.version ?? "0.2.0",
    trustedCidrs: node.trusted ?? [],
    logLevel: LEVELS.indexOf(node.logLevel ?? "debug"),
    maxBody: maxBodyOf(node),
    maxShared: node.maxShared ?? 64 << 10,
    clusterId: node.clusterId ?? null,
    telemetryLogs: node.telemetryLogs ?? true,
  };
}

function tlsFacts({ tls }: TestRequest, https: boolean): CallFacts["tls"] {
  if (tls === undefined && !https) return null;
  const { version = "TLSv1.3", cipher = "TLS_AES_128_GCM_SHA256", certificates = "", clientVerify } = tls ?? {};
  const hasCertificate = certificates !== "";
  return { version, cipher, clientVerify: clientVerify ?? (hasCertificate ? "SUCCESS" : "NONE"), hasCertificate };
}
