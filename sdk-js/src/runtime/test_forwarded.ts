import { isIP } from "node:net";
import type { CallFacts } from "./encode_call.js";
import type { Line } from "./headers.js";
import { firstValue } from "./overlay.js";

type Forwarded = CallFacts["forwarded"];

/** What a trusted peer said in X-Forwarded-*; null: nothing. Fields that it left out are those of the request. */
export function forwardedFacts(headers: readonly Line[], request: CallFacts["request"], path: string): Forwarded {
  const text = (name: string): string => firstValue(headers, `x-forwarded-${name}`) ?? "";
  const [host, hostPort] = splitHost(first(text("host")).replace(/^.*@/, "").toLowerCase());
  const scheme = first(text("proto")).toLowerCase();
  const port = portOf(first(text("port"))) ?? portOf(hostPort);
  const given = { scheme, host, path: text("path"), prefix: text("prefix") };
  if (port === null && Object.values(given).every((value) => value === "")) return null;
  return {
    scheme: given.scheme || request.scheme,
    host: given.host || request.host,
    port: port ?? request.port,
    path: given.path || path,
    prefix: given.prefix || null,
  };
}

/** The address of the client behind a trusted peer, from X-Real-IP; null: the peer's own. */
export function realAddress(headers: readonly Line[]): { ip: string; port: number | null } | null {
  const value = firstValue(headers, "x-real-ip")?.trim() ?? "";
  const plain = value.replace(/^\[(.*)\]$/, "$1");
  if (isIP(plain) !== 0) return { ip: plain, port: null };
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(value) ?? [];
  return isIP(host) === 0 ? null : { ip: host, port: portOf(port) };
}

function first(list: string): string {
  return (list.split(",", 1)[0] as string).trim();
}

function splitHost(text: string): [host: string, port: string] {
  const [, host = text, port = ""] = /^(\[.*\]|[^:]*):(\d*)$/.exec(text) ?? [];
  return [host, port];
}

function portOf(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65535 ? port : null;
}
