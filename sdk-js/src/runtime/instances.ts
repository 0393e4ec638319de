import { ConfigError } from "../errors.js";
import type { PDK } from "../gen/pdk.js";
import { type AnyPlugin, HANDLER_NAMES, type Handlers, PHASE_NAMES } from "../plugin.js";
import { describeThrown, isA } from "./log_text.js";

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

/** Configures of one instance that nobody waits for any more and that still run, before no other one is begun. */
const MAX_HANGING = 4;

/** Too many configures of an instance hang already. */
export class StillHanging extends Error {}

/** For those who wait until the end. */
const NEVER = new AbortController().signal;

function aborted(signal: AbortSignal): Promise<unknown> {
  if (signal === NEVER) return new Promise(ignore);
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", resolve, { once: true });
  });
}

function ignore(): void {}

/** The instances of a server, and its running asynchronous calls. */
export class Instances {
  readonly plugins: ReadonlyMap<string, AnyPlugin>;
  readonly #table = new Map<InstanceId, Instance>();
  readonly #changing = new Map<InstanceId, Promise<unknown>>();
  /** How many configures run, of those ids of which some do. */
  readonly #attempts = new Map<InstanceId, number>();
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

  /**
   * Makes an instance, or replaces the one of the same id, which is closed when its calls are done. No errors: accepted.
   *
   * @param gone - aborted when nobody waits any more: what is made then is closed, and the next configure of the id does not wait for it.
   * @throws StillHanging
   */
  configure(
    id: InstanceId,
    pluginName: string,
    config: Uint8Array,
    recordId = "",
    gone: AbortSignal = NEVER,
  ): Promise<FieldError[]> {
    const before = this.#changing.get(id) ?? Promise.resolve();
    const change = before.then(() =>
      this.#attempt(id, gone, () => this.#configure(id, pluginName, config, recordId, gone)),
    );
    const over = Promise.race([change.then(ignore, ignore), aborted(gone)]);
    this.#changing.set(id, over);
    void over.then(() => {
      if (this.#changing.get(id) === over) this.#changing.delete(id);
    });
    return change;
  }

  /** Counts the attempts that go on although nobody waits. */
  async #attempt<T>(id: InstanceId, gone: AbortSignal, configure: () => Promise<T>): Promise<T> {
    const running = this.#attempts.get(id) ?? 0; // all of them hang: this one has waited for the others
    if (gone.aborted || running >= MAX_HANGING) {
      throw new StillHanging(`${running} earlier attempts to configure instance ${id} still hang`);
    }
    this.#attempts.set(id, running + 1);
    try {
      return await configure();
    } finally {
      const left = (this.#attempts.get(id) ?? 1) - 1;
      if (left > 0) this.#attempts.set(id, left);
      else this.#attempts.delete(id);
    }
  }

  async #configure(
    id: InstanceId,
    pluginName: string,
    config: Uint8Array,
    recordId: string,
    gone: AbortSignal,
  ): Promise<FieldError[]> {
    const plugin = this.plugins.get(pluginName);
    if (plugin === undefined) {
      const known = [...this.plugins.keys()].join(", ");
      return [{ path: "", message: `plugin "${pluginName}" is not here; this server has ${known}` }];
    }
    let made: Instance;
    try {
      made = await makeInstance(plugin, parseConfig(config), recordId);
    } catch (thrown) {
      if (isA(thrown, Error) && !isConfigError(thrown))
        this.#log(`plugin ${plugin.name}: ${describeThrown(thrown).detail}`);
      return [fieldError(thrown)];
    }
    if (gone.aborted) {
      void made.close(this.#log);
      return [];
    }
    const old = this.#table.get(id);
    this.#table.set(id, made);
    if (old !== undefined) void old.close(this.#log);
    return [];
  }

  /** Takes instances away and closes each when its running calls are done. Unknown ids are ignored. */
  async release(ids: readonly InstanceId[]): Promise<void> {
    await Promise.all(ids.map((id) => this.#release(id)));
  }

  async #release(id: InstanceId): Promise<void> {
    await this.#changing.get(id);
    const instance = this.#table.get(id);
    if (instance === undefined) return;
    this.#table.delete(id);
    await instance.close(this.#log);
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
  try {
    return thrown instanceof Error && (thrown as Partial<ConfigError>).code === "bad_config";
  } catch {
    return false; // a getter that throws
  }
}

function fieldError(thrown: unknown): FieldError {
  const { message } = describeThrown(thrown);
  return { path: isConfigError(thrown) ? thrown.path : "", message };
}
