import { rmSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { PluginError } from "./errors.js";
import type { AnyPlugin } from "./plugin.js";
import { type Address, checkReach, hostPort, listen, reachable, removeStale, unixAddress } from "./runtime/address.js";
import { isExit, ownerOf } from "./runtime/call_state.js";
import type { Certificates } from "./runtime/certificates.js";
import { controlServer, type DataAddress, makeToken, within } from "./runtime/control.js";
import { Health } from "./runtime/health.js";
import { Instances } from "./runtime/instances.js";
import type { Lane } from "./runtime/lane.js";
import { describeThrown, LEVEL_ERR } from "./runtime/log_text.js";
import { MsgpackLane } from "./runtime/msgpack_lane.js";

/** How long the end of a server waits for running calls and for close hooks, in milliseconds. */
const DRAIN_MS = 10_000;

/** How often a server that ends looks whether its lanes are closed, in milliseconds. */
const LOOK_MS = 10;

/** What a server that is not on this machine alone needs. */
export interface ServerOptions {
  /** Where the data plane listens; left out: beside the control plane. */
  readonly data?: Address | undefined;
  /** Both planes speak TLS, but not a data plane on a unix socket: its owner alone reaches that. */
  readonly certificates?: Certificates | undefined;
}

/** A plugin server: control plane, both carriers, and the instances behind them. */
export class PluginServer {
  readonly #instances: Instances;
  readonly #control: GrpcServer;
  readonly #data: NetServer;
  /** Where the control plane accepts connections when it speaks TLS. */
  readonly #front: NetServer | null;
  readonly #controlAddress: Address;
  readonly #dataAddress: DataAddress;
  readonly #lanes: Set<Lane>;
  readonly #sockets: Set<Socket>;
  readonly #health: Health;
  #closing: Promise<void> | null = null;

  private constructor(parts: {
    instances: Instances;
    control: GrpcServer;
    data: NetServer;
    front: NetServer | null;
    controlAddress: Address;
    dataAddress: DataAddress;
    lanes: Set<Lane>;
    sockets: Set<Socket>;
    health: Health;
  }) {
    this.#instances = parts.instances;
    this.#control = parts.control;
    this.#data = parts.data;
    this.#front = parts.front;
    this.#controlAddress = parts.controlAddress;
    this.#dataAddress = parts.dataAddress;
    this.#lanes = parts.lanes;
    this.#sockets = parts.sockets;
    this.#health = parts.health;
  }

  /**
   * Listens at an address: the control plane there, the data plane beside it.
   *
   * @param onShutdown - called when the host asks for the end.
   * @throws PluginError when the address cannot be listened on.
   */
  static async start(
    plugins: readonly AnyPlugin[],
    address: Address,
    onShutdown: () => void,
    options: ServerOptions = {},
  ): Promise<PluginServer> {
    const { certificates } = options;
    const wanted = options.data ?? beside(address);
    if (certificates === undefined) for (const one of [address, wanted]) checkReach(one);
    for (const one of [address, wanted]) if (one.network === "unix") await removeStale(one.path);
    const lanes = new Set<Lane>();
    const sockets = new Set<Socket>();
    const instances = new Instances(plugins, (message) => report(lanes, message));
    const token = makeToken();
    const onSocket = (connection: Socket): void => {
      const { lane, socket } = new MsgpackLane(connection, instances, token);
      lanes.add(lane);
      sockets.add(socket);
      socket.once("close", () => {
        lanes.delete(lane);
        sockets.delete(socket);
      });
    };
    const data =
      certificates === undefined || wanted.network === "unix"
        ? createServer(onSocket)
        : certificates.createServer([], onSocket);
    const dataAddress = dataPlane(await listen(data, wanted), token);
    const onLane = (lane: Lane, closed: Promise<void>): void => {
      lanes.add(lane);
      void closed.then(() => lanes.delete(lane));
    };
    const health = new Health();
    const control = controlServer({ instances, data: dataAddress, health, onLane, onShutdown });
    const front = certificates === undefined ? null : behindTls(control, certificates);
    try {
      const controlAddress = await (front === null ? bind(control, address) : listen(front, address));
      return new PluginServer({ instances, control, data, front, controlAddress, dataAddress, lanes, sockets, health });
    } catch (thrown) {
      data.close();
      throw thrown;
    }
  }

  /** Where the control plane listens. */
  get address(): Address {
    return this.#controlAddress;
  }

  /** Where carrier msgpack listens. */
  get dataAddress(): DataAddress {
    return this.#dataAddress;
  }

  /**
   * Keeps what plugins throw outside of their handlers from ending the process. A rejection that nobody handles fails the call that
   * it belongs to, if that can be told and it still runs; else it is logged with level err. Answers a function that undoes this.
   */
  guard(): () => void {
    const rejected = (reason: unknown): void => {
      if (isExit(reason) || ownerOf(reason)?.fail(reason)) return;
      const { message, detail } = describeThrown(reason);
      report(this.#lanes, `unhandled rejection: ${message} ${detail}`);
    };
    const thrown = (error: unknown): void => {
      if (isExit(error) || ownerOf(error)?.fail(error)) return;
      const { message, detail } = describeThrown(error);
      report(this.#lanes, `uncaught exception: ${message} ${detail}`);
    };
    process.on("unhandledRejection", rejected);
    process.on("uncaughtException", thrown);
    return () => {
      process.off("unhandledRejection", rejected);
      process.off("uncaughtException", thrown);
    };
  }

  /** Says that it goes away and takes no new lanes, lets running calls end, closes the instances and the connections. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#health.leave();
    this.#data.close();
    await within(this.#callsEnd(), DRAIN_MS);
    await within(this.#instances.releaseAll(), DRAIN_MS);
    for (const socket of this.#sockets) socket.end();
    this.#front?.close();
    await within(new Promise((resolve) => this.#control.tryShutdown(resolve)), 500);
    this.#control.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
    this.removeSockets();
  }

  /**
   * Resolves when no call runs and none may still be on its way: a host that watches the health sends no more calls and closes its lanes.
   * One that does not is only waited for while its calls run.
   */
  async #callsEnd(): Promise<void> {
    await this.#instances.idle();
    const gaveUp = Date.now() + DRAIN_MS;
    while (this.#health.watched && this.#lanes.size > 0 && Date.now() < gaveUp) await sleep(LOOK_MS);
    await this.#instances.idle();
  }

  /**
   * Sends what has not left yet when a plugin ends the process: outcomes of steps before the one that did it, so that the host does not take
   * them for failed, and log lines.
   */
  lastWords(): void {
    for (const lane of this.#lanes) lane.flush();
  }

  /** Removes the socket files; also for the end of the process, when there is no time for anything else. Never throws: that would keep it alive. */
  removeSockets(): void {
    if (this.#controlAddress.network === "unix") remove(this.#controlAddress.path);
    if (this.#dataAddress.network === "unix") remove(this.#dataAddress.address);
  }
}

function remove(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch (thrown) {
    process.stderr.write(`removing ${path}: ${describeThrown(thrown).message}\n`);
  }
}

/** Logs with level err through a lane, or to standard error while there is none. */
function report(lanes: ReadonlySet<Lane>, message: string): void {
  for (const lane of lanes) {
    if (!lane.ready) continue;
    lane.log(0, LEVEL_ERR, message);
    return;
  }
  process.stderr.write(`${message}\n`);
}

/** The data plane is beside the control plane: a second socket file, or another port of the same host. */
function beside(address: Address): Address {
  return address.network === "tcp" ? { ...address, port: 0 } : unixAddress(`${address.path}.data`);
}

/** Accepts connections for a gRPC server and speaks TLS on them: its own credentials cannot take other certificates later. */
function behindTls(control: GrpcServer, certificates: Certificates): NetServer {
  const injector = control.createConnectionInjector(ServerCredentials.createInsecure());
  return certificates.createServer(["h2"], (socket) => injector.injectConnection(socket));
}

function dataPlane(address: Address, token: Uint8Array): DataAddress {
  return address.network === "unix"
    ? { network: "unix", address: address.path, token }
    : { network: "tcp", address: reachable(address.host, address.port), token };
}

function bind(server: GrpcServer, address: Address): Promise<Address> {
  const target = address.network === "unix" ? `unix:${address.path}` : hostPort(address.host, address.port);
  const mask = address.network === "unix" ? process.umask(0o177) : null;
  return new Promise((resolve, reject) => {
    server.bindAsync(target, ServerCredentials.createInsecure(), (error, port) => {
      if (mask !== null) process.umask(mask);
      if (error !== null) reject(new PluginError(`listening on ${target}: ${error.message}`, { cause: error }));
      else resolve(address.network === "unix" ? address : { ...address, port });
    });
  });
}
