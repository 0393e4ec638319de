import { chmodSync, rmSync, statSync } from "node:fs";
import { connect, isIP, type Server } from "node:net";
import { PluginError } from "../errors.js";

/** Longest path that the kernel takes for a unix socket, in bytes. */
const MAX_SOCKET_PATH = 107;

/** Where something listens. */
export type Address =
  | { readonly network: "unix"; readonly path: string }
  | { readonly network: "tcp"; readonly host: string; readonly port: number };

/** Reads `unix:///path` or `tcp://host:port`; no host means every address of the machine. @throws PluginError */
export function parseListen(text: string, flag = "--listen"): Address {
  const unix = /^unix:\/\/(\/.+)$/.exec(text)?.[1];
  if (unix !== undefined) return unixAddress(unix);
  const tcp = /^tcp:\/\/(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(text);
  const host = tcp?.[1] ?? tcp?.[2];
  const port = Number(tcp?.[3]);
  if (host === undefined || port > 65535) {
    throw new PluginError(`${flag}: found ${JSON.stringify(text)}; expected unix:///path or tcp://host:port`);
  }
  return { network: "tcp", host: host === "" ? "0.0.0.0" : host, port };
}

/** Refuses an address that other machines reach; for servers without TLS. @throws PluginError */
export function checkReach(address: Address): void {
  if (address.network === "unix" || isLoopback(address.host)) return;
  throw new PluginError(
    `tcp://${hostPort(address.host, address.port)} can be reached from other machines: expected a loopback address, ` +
      "or --tls-cert, --tls-key and --tls-client-ca",
  );
}

/** @throws PluginError when the path is too long for a socket. */
export function unixAddress(path: string): Address {
  const length = Buffer.byteLength(path);
  if (length > MAX_SOCKET_PATH) {
    throw new PluginError(`socket path ${path} has ${length} bytes; at most ${MAX_SOCKET_PATH} are possible`);
  }
  return { network: "unix", path };
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** The address as `Describe` and grpc-js write it. */
export function hostPort(host: string, port: number): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The address as the gateway dials it. A wildcard leaves the host part out: the gateway takes that of the control plane. */
export function reachable(host: string, port: number): string {
  return host === "0.0.0.0" || host === "::" ? `:${port}` : hostPort(host, port);
}

/**
 * Removes a socket file that nobody listens on any more.
 *
 * @throws PluginError when somebody does, or the file is something else.
 */
export async function removeStale(path: string): Promise<void> {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new PluginError(`listening on ${path}: found a file that is no socket; expected nothing or a socket`);
  const alive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (alive) throw new PluginError(`listening on ${path}: found another server that listens there; expected nobody`);
  rmSync(path, { force: true });
}

/** Lets a server listen; a unix socket is for its owner alone. Answers the address with the port that was given. */
export async function listen(server: Server, address: Address): Promise<Address> {
  const mask = address.network === "unix" ? process.umask(0o177) : null;
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(
        address.network === "unix" ? { path: address.path } : { host: address.host, port: address.port },
        () => {
          server.off("error", reject);
          resolve();
        },
      );
    });
  } catch (cause) {
    const where = address.network === "unix" ? address.path : hostPort(address.host, address.port);
    throw new PluginError(`listening on ${where}: ${(cause as Error).message}`, { cause });
  } finally {
    if (mask !== null) process.umask(mask);
  }
  if (address.network === "unix") {
    chmodSync(address.path, 0o600);
    return address;
  }
  const bound = server.address();
  return { ...address, port: typeof bound === "object" && bound !== null ? bound.port : address.port };
}
