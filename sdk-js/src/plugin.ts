import { schemaFault } from "./config/definition.js";
import { type KongSchema, kongSchema } from "./config/kong_schema.js";
import { PluginError } from "./errors.js";
import type { PDK } from "./gen/pdk.js";

/** Phases that a plugin may handle, in the order in which a request meets them. */
export const PHASE_NAMES = ["rewrite", "access", "response", "header_filter", "body_filter", "log"] as const;

export type PhaseName = (typeof PHASE_NAMES)[number];

/** Bodies that the host sends with a call because the plugin says that it will read them. */
export type Need = "request_body" | "response_body";

/** What bodyFilter answers: the bytes to send instead (none: drop the piece), or nothing to leave the piece as it is. */
// biome-ignore lint/suspicious/noConfusingVoidType: a handler without a return statement has that type
export type FilteredBody = Uint8Array | string | null | undefined | void;

export type MaybeAsync<T = void> = T | Promise<T>;

/**
 * Handlers of one instance. Having the method is handling the phase; each may be async. A handler that throws, or whose promise is
 * rejected, fails the call: nothing that it wrote is kept, and the fail mode of the plugin decides what the client gets.
 */
export interface Handlers {
  /** Before routing; only for plugins that are configured globally. */
  rewrite?(kong: PDK): MaybeAsync;
  /** After routing, before the request goes upstream. */
  access?(kong: PDK): MaybeAsync;
  /** The upstream has answered; its body is read only when somebody asks for it. */
  response?(kong: PDK): MaybeAsync;
  /** Status and headers go to the client next. */
  headerFilter?(kong: PDK): MaybeAsync;
  /** One piece of the body, at most 32 KiB; `last`: no more pieces follow. */
  bodyFilter?(kong: PDK, chunk: Uint8Array, last: boolean): MaybeAsync<FilteredBody>;
  /** The response is gone; works on a copy of the request. */
  log?(kong: PDK): MaybeAsync;
  /** Once, before the first call. Throw ConfigError to refuse the configuration. */
  configure?(): MaybeAsync;
  /** Once, after the last call. */
  close?(): MaybeAsync;
}

/**
 * JSON Schema 2020-12 of a configuration. Beside its own keywords, `x-secret: true` marks a value that is never shown, and
 * `x-referenceable: true` one that may be a reference to a secret such as `{vault://env/key}`.
 */
export type ConfigSchema = Readonly<Record<string, unknown>>;

/** A class whose objects handle the phases for one configuration. */
export type InstanceClass<Config> = new (config: Config) => Handlers;

/** What a plugin is. */
export interface PluginDefinition<Config = unknown> {
  /** Name in configurations: lower-case letters, digits, `-`, `_` and `.`. */
  readonly name: string;
  readonly version: string;
  /** Plugins with a higher priority run first; 0 when left out. */
  readonly priority?: number;
  /** The plugin sets the consumer, and so cannot fail open by accident. */
  readonly authenticates?: boolean;
  readonly needs?: readonly Need[];
  /**
   * Schema of the configuration, as JSON Schema or as a list in Kong's schema language; left out: an object without fields. The host
   * checks configurations and fills in the defaults.
   */
  readonly schema?: ConfigSchema | KongSchema;
  /**
   * Checks what the schema cannot say, before an instance is made of the configuration.
   *
   * @throws ConfigError to refuse one field.
   */
  readonly validate?: (config: Config) => MaybeAsync;
  readonly instance: InstanceClass<Config>;
}

/** A checked plugin. */
export interface Plugin<Config = unknown> extends Required<Omit<PluginDefinition<Config>, "validate">> {
  readonly schema: ConfigSchema;
  readonly validate?: (config: Config) => MaybeAsync;
  /** Phases that the instances handle, in request order. */
  readonly phases: readonly PhaseName[];
}

/** A plugin whatever its configuration is. */
export type AnyPlugin = Plugin<never>;

/** Method of each phase. */
export const HANDLER_NAMES = {
  rewrite: "rewrite",
  access: "access",
  response: "response",
  header_filter: "headerFilter",
  body_filter: "bodyFilter",
  log: "log",
} as const satisfies Record<PhaseName, keyof Handlers>;

/** Schema of a plugin without one. */
const NO_FIELDS: ConfigSchema = { type: "object", properties: {}, additionalProperties: false };

const NEEDS: readonly string[] = ["request_body", "response_body"] satisfies Need[];
const NAME = /^[a-z0-9][a-z0-9._-]*$/;

/**
 * Defines a plugin: `export default definePlugin<Config>({ name, version, schema, instance: Hello })`.
 *
 * @throws PluginError when the definition is not usable; the message says what was found and expected.
 */
export function definePlugin<Config = unknown>(definition: PluginDefinition<Config>): Plugin<Config> {
  return checkPlugin(definition) as unknown as Plugin<Config>;
}

/** Checks something that should be the definition of a plugin. @throws PluginError */
export function checkPlugin(definition: unknown): AnyPlugin {
  const fail = (found: string, expected: string): never => {
    throw new PluginError(`${nameOf(definition)}: found ${found}; expected ${expected}`);
  };
  if (!isRecord(definition)) return fail(describe(definition), "the definition of a plugin, as definePlugin makes it");
  const {
    name,
    version,
    priority = 0,
    authenticates = false,
    needs = [],
    schema = NO_FIELDS,
    validate,
    instance,
  } = definition;
  if (typeof name !== "string" || !NAME.test(name)) {
    return fail(`name ${describe(name)}`, 'lower-case letters, digits, - _ and . such as "hello-js"');
  }
  if (typeof version !== "string" || version === "")
    return fail(`version ${describe(version)}`, 'text such as "0.1.0"');
  if (!Number.isInteger(priority) || Math.abs(priority as number) > 0x7fffffff) {
    return fail(`priority ${describe(priority)}`, "an integer of 32 bits");
  }
  if (typeof authenticates !== "boolean") return fail(`authenticates ${describe(authenticates)}`, "true or false");
  if (!Array.isArray(needs) || !needs.every((need) => NEEDS.includes(need))) {
    return fail(`needs ${describe(needs)}`, `an array of ${NEEDS.join(", ")}`);
  }
  if (!isRecord(schema) && !Array.isArray(schema)) {
    return fail(`schema ${describe(schema)}`, "a JSON Schema object, or a list in Kong's schema language");
  }
  if (validate !== undefined && typeof validate !== "function")
    return fail(`validate ${describe(validate)}`, "a function");
  if (typeof instance !== "function" || !isRecord(instance.prototype)) {
    return fail(`instance ${describe(instance)}`, "a class");
  }
  const methods = instance.prototype as Record<string, unknown>;
  for (const method of [...Object.values(HANDLER_NAMES), "configure", "close"]) {
    const found = methods[method];
    if (found !== undefined && typeof found !== "function") return fail(`${method} ${describe(found)}`, "a method");
  }
  const phases = PHASE_NAMES.filter((phase) => typeof methods[HANDLER_NAMES[phase]] === "function");
  if (phases.length === 0) {
    return fail(
      `class ${instance.name || "(anonymous)"} without a handler`,
      `one of the methods ${Object.values(HANDLER_NAMES).join(", ")}`,
    );
  }
  return Object.freeze({
    name,
    version,
    priority: priority as number,
    authenticates,
    needs: needs as readonly Need[],
    schema: checkSchema(definition, schema),
    ...(validate !== undefined && { validate: validate as NonNullable<AnyPlugin["validate"]> }),
    instance: instance as unknown as InstanceClass<never>,
    phases,
  });
}

/** The JSON Schema of a definition. @throws PluginError when it is none. */
function checkSchema(definition: unknown, schema: ConfigSchema | KongSchema): ConfigSchema {
  try {
    const checked: ConfigSchema = Array.isArray(schema) ? kongSchema(schema) : (schema as ConfigSchema);
    const fault = schemaFault(checked);
    if (fault === null) return checked;
    throw new PluginError(fault);
  } catch (cause) {
    if (!(cause instanceof PluginError)) throw cause;
    throw new PluginError(`${nameOf(definition)}: ${cause.message}`, { cause });
  }
}

function nameOf(definition: unknown): string {
  const name = isRecord(definition) ? definition.name : undefined;
  return typeof name === "string" && name !== "" ? `plugin ${JSON.stringify(name)}` : "plugin";
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A value as a message shows it. */
export function describe(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return `function ${value.name || "(anonymous)"}`;
  try {
    const text = JSON.stringify(value) ?? String(value);
    return text.length > 80 ? `${text.slice(0, 80)}…` : text;
  } catch {
    return `a ${typeof value}`;
  }
}
