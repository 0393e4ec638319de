import { rmSync } from "node:fs";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { type Server as GrpcServer, ServerCredentials } from "@grpc/grpc-js";
import { PluginError } from "./errors.js";
import type { AnyPlugin } from "./plugin.js";
import { type Address, hostPort, listen, removeStale, unixAddress } from "./runtime/address.js";
import { isExit, ownerOf } from "./runtime/call_state.js";
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

/** A plugin server: control plane, both carriers, and the instances behind them. */
export class PluginServer {
  readonly #instances: Instances;
  readonly #control: GrpcServer;
  readonly #data: NetServer;
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
    controlAddress: Address;
    dataAddress: DataAddress;
    lanes: Set<Lane>;
    sockets: Set<Socket>;
    health: Health;
  }) {
    this.#instances = parts.instances;
    this.#control = parts.control;
    this.#data = parts.data;
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
  static async start(plugins: readonly AnyPlugin[], address: Address, onShutdown: () => void): Promise<PluginServer> {
    const lanes = new Set<Lane>();
    const sockets = new Set<Socket>();
    const instances = new Instances(plugins, (message) => report(lanes, message));
    const token = makeToken();
    const data = createServer((socket) => {
      const { lane } = new MsgpackLane(socket, instances, token);
      lanes.add(lane);
      sockets.add(socket);
      socket.once("close", () => {
        lanes.delete(lane);
        sockets.delete(socket);
      });
    });
    const dataAddress = dataPlane(await listen(data, await dataListen(address)), token);
    const onLane = (lane: Lane, closed: Promise<void>): void => {
      lanes.add(lane);
      void closed.then(() => lanes.delete(lane));
    };
    const health = new Health();
    const control = controlServer({ instances, data: dataAddress, health, onLane, onShutdown });
    try {
      const controlAddress = await bind(control, address);
      return new PluginServer({ instances, control, data, controlAddress, dataAddress, lanes, sockets, health });
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

  /** Removes the socket files; also for the end of the process, when there is no time for anything else. */
  removeSockets(): void {
    if (this.#controlAddress.network === "unix") rmSync(this.#controlAddress.path, { force: true });
    if (this.#dataAddress.network === "unix") rmSync(this.#dataAddress.address, { force: true });
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
async function dataListen(address: Address): Promise<Address> {
  if (address.network === "tcp") return { ...address, port: 0 };
  const data = unixAddress(`${address.path}.data`);
  await removeStale(address.path);
  await removeStale(`${address.path}.data`);
  return data;
}

function dataPlane(address: Address, token: Uint8Array): DataAddress {
  return address.network === "unix"
    ? { network: "unix", address: address.path, token }
    : { network: "tcp", address: hostPort(address.host, address.port), token };
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
