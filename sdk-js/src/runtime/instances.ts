import { ConfigError } from "../errors.js";
import type { PDK } from "../gen/pdk.js";
import { type AnyPlugin, HANDLER_NAMES, type Handlers, PHASE_NAMES } from "../plugin.js";
import { describeThrown } from "./log_text.js";

/** Handler of one phase as the lane calls it; chunk and last are given in body_filter only. */
export type Handler = (this: Handlers, kong: PDK, chunk?: Uint8Array, last?: boolean) => unknown;

/** What is wrong with one field of a configuration; the path is dotted, empty for the whole. */
export interface FieldError {
  readonly path: string;
  readonly message: string;
}

/** Id of an instance: chosen by the host, never reused; above 2^53-1 a BigInt. */
export type InstanceId = number | bigint;

export function instanceId(id: bigint): InstanceId {
  return id <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(id) : id;
}

/** Told of errors that no caller waits for. */
export type ErrorLog = (message: string) => void;

/** One configuration of a plugin, running. */
export class Instance {
  readonly plugin: AnyPlugin;
  readonly object: Handlers;
  /** Id of the plugin record; empty when the host gave none. */
  readonly recordId: string;
  /** Handlers by the code of their phase on the wire. */
  readonly handlers: readonly (Handler | undefined)[];
  readonly #count: Count = new Count();

  constructor(plugin: AnyPlugin, object: Handlers, recordId: string) {
    this.plugin = plugin;
    this.object = object;
    this.recordId = recordId;
    this.handlers = [undefined, ...PHASE_NAMES.map((phase) => object[HANDLER_NAMES[phase]] as Handler | undefined)];
  }

  enter(): void {
    this.#count.add();
  }

  leave(): void {
    this.#count.remove();
  }

  /** Closes the instance when its running calls are done. */
  async close(log: ErrorLog): Promise<void> {
    await this.#count.empty();
    try {
      await this.object.close?.();
    } catch (thrown) {
      const { message, detail } = describeThrown(thrown);
      log(`plugin ${this.plugin.name}: close failed: ${message} ${detail}`);
    }
  }
}

/** Counts what is under way and lets somebody wait until nothing is. */
class Count {
  #n = 0;
  #waiting: (() => void)[] = [];

  add(): void {
    this.#n++;
  }

  remove(): void {
    if (--this.#n > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  empty(): Promise<void> {
    return this.#n === 0 ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** The instances of a server, and its running asynchronous calls. */
export class Instances {
  readonly plugins: ReadonlyMap<string, AnyPlugin>;
  readonly #table = new Map<InstanceId, Instance>();
  readonly #changing = new Map<InstanceId, Promise<unknown>>();
  readonly #count = new Count();
  readonly #log: ErrorLog;

  constructor(plugins: readonly AnyPlugin[], log: ErrorLog) {
    this.plugins = new Map(plugins.map((plugin) => [plugin.name, plugin]));
    this.#log = log;
  }

  get(id: InstanceId): Instance | undefined {
    return this.#table.get(id);
  }

  enter(instance: Instance): void {
    this.#count.add();
    instance.enter();
  }

  leave(instance: Instance): void {
    this.#count.remove();
    instance.leave();
  }

  /** Resolves when no call runs. */
  idle(): Promise<void> {
    return this.#count.empty();
  }

  /** Makes an instance, or replaces the one of the same id, which is closed when its calls are done. No errors: accepted. */
  configure(id: InstanceId, pluginName: string, config: Uint8Array, recordId = ""): Promise<FieldError[]> {
    const before = this.#changing.get(id) ?? Promise.resolve();
    const change = before.then(() => this.#configure(id, pluginName, config, recordId));
    this.#changing.set(id, change);
    void change.then(() => {
      if (this.#changing.get(id) === change) this.#changing.delete(id);
    });
    return change;
  }

  async #configure(id: InstanceId, pluginName: string, config: Uint8Array, recordId: string): Promise<FieldError[]> {
    const plugin = this.plugins.get(pluginName);
    if (plugin === undefined) {
      const known = [...this.plugins.keys()].join(", ");
      return [{ path: "", message: `plugin "${pluginName}" is not here; this server has ${known}` }];
    }
    let made: Instance;
    try {
      made = await makeInstance(plugin, parseConfig(config), recordId);
    } catch (thrown) {
      if (thrown instanceof Error && !isConfigError(thrown))
        this.#log(`plugin ${plugin.name}: ${describeThrown(thrown).detail}`);
      return [fieldError(thrown)];
    }
    const old = this.#table.get(id);
    this.#table.set(id, made);
    if (old !== undefined) void old.close(this.#log);
    return [];
  }

  /** Takes instances away and closes each when its running calls are done. Unknown ids are ignored. */
  async release(ids: readonly InstanceId[]): Promise<void> {
    const gone: Instance[] = [];
    for (const id of ids) {
      await this.#changing.get(id);
      const instance = this.#table.get(id);
      if (instance === undefined) continue;
      this.#table.delete(id);
      gone.push(instance);
    }
    await Promise.all(gone.map((instance) => instance.close(this.#log)));
  }

  releaseAll(): Promise<void> {
    return this.release([...this.#table.keys()]);
  }
}

/** Checks the configuration, makes an instance of it and runs its configure hook. What one of them throws is thrown. */
export async function makeInstance(plugin: AnyPlugin, config: unknown, recordId: string): Promise<Instance> {
  await plugin.validate?.(config as never);
  const object = new plugin.instance(config as never);
  const instance = new Instance(plugin, object, recordId);
  await object.configure?.();
  return instance;
}

function parseConfig(bytes: Uint8Array): unknown {
  const text = Buffer.from(bytes).toString();
  let config: unknown;
  try {
    config = text === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new ConfigError("", `the configuration is no JSON: ${(cause as Error).message}`);
  }
  if (typeof config !== "object" || config === null || Array.isArray(config)) {
    throw new ConfigError("", "the configuration is no JSON object");
  }
  return config;
}

/** Matches by code, so that a second copy of this package counts too. */
function isConfigError(thrown: unknown): thrown is ConfigError {
  return thrown instanceof Error && (thrown as Partial<ConfigError>).code === "bad_config";
}

function fieldError(thrown: unknown): FieldError {
  const { message } = describeThrown(thrown);
  return { path: isConfigError(thrown) ? thrown.path : "", message };
}
