import { sameName } from "./headers.js";
import { firstValue } from "./overlay.js";
import { queryArgs } from "./target.js";
import type { TestWorld } from "./test_answers.js";
import { REQUEST_ID } from "./test_traffic.js";

type Variable = (world: TestWorld) => string | number | null | undefined;

/** The variables of nginx that do not name a header, a cookie or an argument. */
const VARIABLES: Readonly<Record<string, Variable>> = {
  request_method: ({ traffic }) => traffic.method,
  request_uri: ({ traffic }) => traffic.target,
  uri: ({ traffic }) => traffic.url.pathname,
  args: ({ traffic }) => traffic.query,
  query_string: ({ traffic }) => traffic.query,
  is_args: ({ traffic }) => (traffic.query === "" ? "" : "?"),
  scheme: ({ facts }) => facts.request.scheme,
  https: ({ facts }) => (facts.request.scheme === "https" ? "on" : ""),
  host: ({ facts }) => facts.request.host,
  hostname: ({ node }) => node.hostname ?? "test",
  server_port: ({ facts }) => facts.request.port,
  server_protocol: ({ facts }) => `HTTP/${(facts.request.httpVersion / 10).toFixed(1)}`,
  remote_addr: ({ facts }) => facts.client.forwardedIp ?? facts.client.ip,
  remote_port: ({ facts }) => facts.client.forwardedPort,
  realip_remote_addr: ({ facts }) => facts.client.ip,
  realip_remote_port: ({ facts }) => facts.client.port,
  request_id: () => REQUEST_ID,
  request_length: ({ traffic }) => traffic.body.length,
  request_time: () => "0.000",
  msec: () => (Date.now() / 1000).toFixed(3),
  time_iso8601: () => new Date().toISOString().replace(/\.\d+Z$/, "+00:00"),
  status: ({ traffic }) => traffic.status || null,
  content_type: ({ traffic }) => firstValue(traffic.headers, "content-type"),
  content_length: ({ traffic }) => firstValue(traffic.headers, "content-length"),
  ssl_protocol: ({ facts }) => facts.tls?.version,
  ssl_cipher: ({ facts }) => facts.tls?.cipher,
  ssl_client_verify: ({ context }) => context.clientVerify,
  upstream_uri: ({ traffic }) => traffic.upstreamPath,
  upstream_status: ({ traffic }) => traffic.upstream?.status,
};

/** Families of variables: what stands in front of the name, and what the name then means. */
const FAMILIES: readonly (readonly [
  prefix: string,
  value: (world: TestWorld, name: string) => string | null | undefined,
])[] = [
  ["arg_", ({ traffic }, name) => argument(traffic.query, name)],
  ["cookie_", ({ traffic }, name) => cookie(firstValue(traffic.headers, "cookie") ?? "", name)],
  ["sent_http_", ({ traffic }, name) => firstValue(traffic.responseLines, name)],
  ["upstream_http_", ({ traffic }, name) => firstValue(traffic.upstream?.headers ?? [], name)],
  [
    "http_",
    ({ traffic }, name) => {
      const values = traffic.headers.filter((line) => sameName(line[0], name)).map(([, value]) => value);
      return values.length === 0 ? null : values.join(", ");
    },
  ],
];

/** A variable of the request by its name in nginx; null when there is none. */
export function nginxVariable(world: TestWorld, name: string): string | null {
  const known = Object.hasOwn(VARIABLES, name) ? VARIABLES[name] : undefined;
  if (known !== undefined) return textOf(known(world));
  const [prefix, value] = FAMILIES.find(([start]) => name.startsWith(start)) ?? [];
  return prefix === undefined || value === undefined ? null : textOf(value(world, name.slice(prefix.length)));
}

function textOf(value: string | number | null | undefined): string | null {
  return value === null || value === undefined ? null : String(value);
}

function argument(query: string, wanted: string): string | null {
  for (const [name, value] of queryArgs(query)) if (name === wanted) return value === true ? "" : value;
  return null;
}

function cookie(header: string, wanted: string): string | null {
  for (const pair of header.split(";")) {
    const at = pair.indexOf("=");
    if (at > 0 && pair.slice(0, at).trim() === wanted) return pair.slice(at + 1).trim();
  }
  return null;
}
