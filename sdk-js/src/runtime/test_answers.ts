import { DataError } from "../errors.js";
import type { CallFacts } from "./encode_call.js";
import { jsonText } from "./json.js";
import { headerMap } from "./overlay.js";
import { shown } from "./serialize.js";
import type { TestCache, TestContext } from "./test_context.js";
import type { TestNode, TestRequest } from "./test_model.js";
import { REQUEST_ID, type TestTraffic } from "./test_traffic.js";
import { nginxVariable } from "./test_variables.js";

const MIB = 1 << 20;
const MEMORY = { resident: 64 * MIB, heap: 24 * MIB, heap_in_use: 16 * MIB, stacks: MIB, total: 72 * MIB };
const MEMORY_UNITS = ["b", "k", "m", "g"];

const STATISTICS = {
  connections_active: 1,
  connections_reading: 0,
  connections_writing: 1,
  connections_waiting: 0,
  connections_accepted: 1,
  connections_handled: 1,
  total_requests: 1,
};

/** Everything that the answers of one exchange come from. */
export interface TestWorld {
  readonly node: TestNode;
  readonly request: TestRequest;
  readonly traffic: TestTraffic;
  readonly context: TestContext;
  readonly cache: TestCache;
  /** The facts of the call that asks. */
  readonly facts: CallFacts;
}

type Answer = (world: TestWorld, args: readonly unknown[]) => unknown;

/** The answers of the testing kit, by the function that asks. */
const ANSWERS: Readonly<Record<string, Answer>> = {
  "request.get_raw_body": ({ traffic, node }) => bounded(traffic.body, node),
  "service.response.get_raw_body": ({ traffic, node }) => bounded(traffic.upstream?.body, node),
  "response.get_raw_body": ({ traffic, node }) => bounded(traffic.upstream && traffic.responseBody, node),
  "log.serialize": (world) => jsonText(logEntry(world)),
  "client.load_consumer": ({ request }, [id, byName]) =>
    request.consumers?.find((consumer) => consumer.id === id || (byName === true && consumer.username === id)),
  "client.load_credential": ({ request }, [kind, key]) => request.credentials?.[String(kind)]?.[String(key)],
  "client.authenticate_consumer_group_by_consumer_id": ({ request }, [id]) => {
    const groups = request.consumerGroups?.[String(id)];
    if (groups !== undefined) return groups.map(({ id, name = "" }) => ({ id, name }));
    if (request.consumers?.some((consumer) => consumer.id === id)) return [];
    throw new DataError("", `there is no consumer ${id}`);
  },
  "client.tls.get_full_client_certificate_chain": ({ request }) => request.tls?.certificates,
  "service.set_upstream": ({ node }, [name]) => {
    if (!node.upstreams?.includes(String(name)))
      throw new DataError("", `there is no upstream ${JSON.stringify(name)}`);
  },
  "node.get_memory_stats": ({ node }, [unit, scale]) => ({
    process: memoryOf(node.memory ?? MEMORY, String(unit), Number(scale)),
  }),
  "node.get_configuration": ({ node }) => node.configuration ?? {},
  "nginx.get_statistics": () => STATISTICS,
  "nginx.get_var": (world, [name]) => nginxVariable(world, String(name)),
  "vault.get": ({ node }, [reference]) => {
    const secret = node.secrets?.[String(reference)];
    if (secret === undefined) throw new DataError("", `there is no secret ${reference}`);
    return secret;
  },
  "vault.update": ({ node }, [options]) => refreshed(options as Record<string, unknown>, node),
  "cache.get": ({ cache }, [key]) => {
    const found = cache.get(String(key));
    return found !== undefined && Date.now() < found.until ? found.value : null;
  },
};

/** Answers a question of a handler. @throws PDKError the refusal */
export function answerOf(world: TestWorld, question: string, args: readonly unknown[]): unknown {
  const answer = ANSWERS[question];
  if (answer === undefined) throw new Error(`the testing kit has no answer to ${question}`);
  return answer(world, args);
}

/** Largest body, in bytes. */
export function maxBodyOf(node: TestNode): number {
  return node.maxBody ?? 8 * MIB;
}

function bounded(body: Uint8Array | null | undefined, node: TestNode): Uint8Array {
  if (body === null || body === undefined) {
    throw new DataError("", "the request was not proxied: there is no body of an upstream");
  }
  const limit = maxBodyOf(node);
  if (limit > 0 && body.length > limit) {
    throw new DataError("", `the body has ${body.length} bytes; at most ${limit} (max_body) are kept`);
  }
  return new Uint8Array(body);
}

function memoryOf(bytes: Readonly<Record<string, number>>, unit: string, scale: number): Record<string, unknown> {
  const power = MEMORY_UNITS.indexOf(unit);
  if (power <= 0) return { ...bytes };
  const suffix = `${unit.toUpperCase()}iB`;
  return Object.fromEntries(
    Object.entries(bytes).map(([name, n]) => [name, `${(n / 1024 ** power).toFixed(scale)} ${suffix}`]),
  );
}

/** A copy whose fields named under $refs hold the secrets, where there are any. */
function refreshed(options: Record<string, unknown>, node: TestNode): Record<string, unknown> {
  const fresh = { ...options };
  for (const [field, reference] of Object.entries((options.$refs ?? {}) as Record<string, string>)) {
    const secret = node.secrets?.[reference];
    if (secret !== undefined) fresh[field] = secret;
  }
  return fresh;
}

/** The log entry, with the fields that can be known without a gateway. */
export function logEntry({ request, traffic, context, facts }: TestWorld): Record<string, unknown> {
  const { tls, client } = facts;
  const entry: Record<string, unknown> = {
    request: {
      id: REQUEST_ID,
      method: traffic.method,
      uri: traffic.target,
      url: traffic.url.href,
      querystring: Object.fromEntries(new URLSearchParams(traffic.query)),
      headers: redacted(traffic.headers),
      size: traffic.body.length,
      ...(tls && { tls: { version: tls.version, cipher: tls.cipher, client_verify: context.clientVerify } }),
    },
    upstream_uri: traffic.upstreamPath,
    response: {
      status: traffic.status,
      headers: redacted(traffic.responseLines),
      size: traffic.responseBody.length,
    },
    latencies: { kong: 0, proxy: traffic.upstream === null ? -1 : 0, request: 0, receive: 0 },
    client_ip: client.forwardedIp ?? client.ip,
    started_at: facts.startTime,
    source: traffic.source === "service" ? "upstream" : "kong",
    ...(traffic.upstream && { upstream_status: traffic.upstream.status }),
    ...(request.route && { route: request.route }),
    ...(request.service && { service: request.service }),
    ...(context.consumer && { consumer: context.consumer }),
    ...(context.credential && { authenticated_entity: { id: context.credential.id ?? "" } }),
    ...(context.spans.length > 0 && { spans: context.spans }),
  };
  context.serializeOver(entry);
  return shown(entry) as Record<string, unknown>; // of attributes of spans too
}

/** Headers by name, several lines as a list, without credentials. */
function redacted(lines: CallFacts["request"]["headers"]): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(headerMap(lines, lines.length).toObject()).map(([name, values]) => {
      if (/^(proxy-)?authorization$/.test(name)) return [name, "REDACTED"];
      return [name, values.length === 1 ? values[0] : values];
    }),
  );
}
