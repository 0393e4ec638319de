import { basename, dirname, extname } from "node:path";
import type { KongSchema } from "../config/kong_schema.js";
import { PluginError } from "../errors.js";
import type { PDK } from "../gen/pdk.js";
import { checkPlugin, describe, type Plugin } from "../plugin.js";
import { type KongPDK, kongPdk } from "./pdk.js";

/** Phases of Kong's JavaScript plugins that this gateway has. */
const PHASES = ["rewrite", "access", "response", "log"] as const;

/** Phases that Kong's plugins may handle and this gateway has not. */
const MISSING = ["certificate", "preread"];

type KongHandler = (kong: KongPDK) => unknown;

/** What a plugin for Kong's JavaScript plugin server exports. */
export interface KongModule {
  readonly Plugin: new (config: never) => object;
  /** Fields in Kong's schema language; left out: none. */
  readonly Schema?: KongSchema;
  readonly Version?: string;
  readonly Priority?: number;
  readonly Name?: string;
}

/** Whether a module's export is a plugin for Kong. */
export function isKongModule(exported: unknown): exported is KongModule {
  return typeof exported === "object" && exported !== null && typeof (exported as KongModule).Plugin === "function";
}

/**
 * Makes a plugin of what a plugin for Kong exports: `kongPlugin(require("./key-checker.js"), "key-checker")`. Its handlers get the PDK
 * in Kong's form: every function answers a promise, a missing value is undefined, and `kong.response.exit` ends the handler.
 *
 * @param name - where the module exports no Name.
 * @throws PluginError when the plugin is not usable; the message says what was found and expected.
 */
export function kongPlugin(module: KongModule, name: string): Plugin<Record<string, unknown>> {
  const { Plugin: Class, Schema = [], Version = "0.0.0", Priority = 0, Name = name } = module;
  const fail = (found: string, expected: string): never => {
    throw new PluginError(`plugin ${JSON.stringify(Name)}: found ${found}; expected ${expected}`);
  };
  if (typeof Name !== "string") return fail(`Name ${describe(Name)}`, "text");
  if (!Array.isArray(Schema)) return fail(`Schema ${describe(Schema)}`, "a list of fields in Kong's schema language");
  const handlers = (Class.prototype ?? {}) as Record<string, unknown>;
  const missing = MISSING.find((phase) => typeof handlers[phase] === "function");
  if (missing !== undefined) return fail(`a handler of phase ${missing}`, `handlers of ${PHASES.join(", ")} only`);
  return checkPlugin({
    name: Name.toLowerCase(),
    version: Version,
    priority: Priority,
    schema: Schema,
    instance: instanceClass(Class, handlers),
  }) as unknown as Plugin<Record<string, unknown>>;
}

/** A class of ours around a class of Kong's, with the phases that it handles. */
function instanceClass(
  Class: KongModule["Plugin"],
  handlers: Record<string, unknown>,
): new (
  config: unknown,
) => object {
  class KongInstance {
    readonly plugin: Record<string, KongHandler>;

    constructor(config: unknown) {
      this.plugin = new Class(config as never) as Record<string, KongHandler>;
    }
  }
  for (const phase of PHASES) {
    if (typeof handlers[phase] !== "function") continue;
    Object.defineProperty(KongInstance.prototype, phase, {
      value(this: KongInstance, kong: PDK): unknown {
        return this.plugin[phase]?.(kongPdk(kong));
      },
    });
  }
  return KongInstance;
}

/** The name of a plugin by its file: that of the directory for index.js. */
export function nameByFile(file: string): string {
  const name = basename(file, extname(file));
  return name === "index" ? basename(dirname(file)) : name;
}
