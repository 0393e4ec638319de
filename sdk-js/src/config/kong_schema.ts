import { PluginError } from "../errors.js";
import { isPlainObject } from "../runtime/msgpack_write.js";
import { endingWith, regexpOfLua, startingWith, UntranslatablePattern } from "./lua_pattern.js";

/** One field of a configuration in Kong's schema language: its name and what it may hold. */
export type KongField = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** A configuration in Kong's schema language, such as `[{ message: { type: "string", default: "hello" } }]`. */
export type KongSchema = readonly KongField[];

type Attributes = Readonly<Record<string, unknown>>;
type JsonSchema = Record<string, unknown>;

const TYPES = ["string", "number", "integer", "boolean", "array", "set", "map", "record"];
const UUID = "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$";

/** Attributes that are read with the type. */
const OF_TYPE = ["required", "description", "type", "elements", "fields", "keys", "values", "default"];

/** Attributes that say how Kong stores or shows a field, and nothing about its values. */
const IGNORED = ["abstract", "auto", "deprecation", "err", "immutable", "indexed", "legacy", "nilable", "unique"];

/** Attributes that JSON Schema cannot say. */
const IMPOSSIBLE = ["custom_validator", "entity_checks", "fn", "is_regex", "shorthand_fields", "transformations"];

/**
 * Translates Kong's schema language to JSON Schema 2020-12. A text without len_min may not be empty, and a required record whose fields
 * need not be given is there with their defaults, as in Kong.
 *
 * @throws PluginError that names the field, what was found and what was expected.
 */
export function kongSchema(fields: unknown): JsonSchema {
  return recordSchema(fields, "");
}

/** Schema of a list of fields. */
function recordSchema(fields: unknown, path: string): JsonSchema {
  if (!Array.isArray(fields)) return fail(path, shown(fields), 'a list of fields such as {name: {type: "string"}}');
  const properties: Record<string, JsonSchema> = {};
  const required: string[] = [];
  for (const field of fields) {
    const [entry, ...others] = isPlainObject(field) ? Object.entries(field) : [];
    if (entry === undefined || others.length > 0) {
      return fail(path, shown(field), 'one field with its name, such as {name: {type: "string"}}');
    }
    const [name, attributes] = entry;
    const at = path === "" ? name : `${path}.${name}`;
    if (Object.hasOwn(properties, name)) return fail(at, "it twice", "each name once");
    properties[name] = fieldSchema(attributes, at);
    const wanted = isPlainObject(attributes) && attributes.required === true;
    if (wanted && properties[name].default === undefined) required.push(name);
  }
  return { type: "object", properties, ...(required.length > 0 && { required }), additionalProperties: false };
}

/** Schema of what one field may hold. */
function fieldSchema(attributes: unknown, path: string): JsonSchema {
  if (!isPlainObject(attributes)) return fail(path, shown(attributes), 'attributes such as {type: "string"}');
  const { type, required, description } = attributes;
  if (typeof type !== "string" || !TYPES.includes(type)) {
    return fail(path, `type ${shown(type)}`, `one of ${TYPES.join(", ")}`);
  }
  const schema = typeSchema(type, attributes, path);
  if (typeof description === "string") schema.description = description;
  if ((attributes.default ?? null) !== null) schema.default = attributes.default;
  else if (type === "record" && required === true && schema.required === undefined) schema.default = {};
  for (const [name, value] of Object.entries(attributes)) {
    if (OF_TYPE.includes(name) || IGNORED.includes(name)) continue;
    const translate = ATTRIBUTES[name];
    if (IMPOSSIBLE.includes(name))
      return fail(path, `attribute ${name}, which JSON Schema cannot say`, "a check in the constructor");
    if (translate === undefined) return fail(path, `attribute ${name}`, `one of ${KNOWN}`);
    translate(schema, value, path);
  }
  if (type === "string" && schema.minLength === undefined && schema.default !== "") schema.minLength = 1;
  return schema;
}

function typeSchema(type: string, attributes: Attributes, path: string): JsonSchema {
  switch (type) {
    case "array":
      return { type: "array", items: inner("elements", attributes, path) };
    case "set":
      return { type: "array", items: inner("elements", attributes, path), uniqueItems: true };
    case "map":
      return {
        type: "object",
        propertyNames: inner("keys", attributes, path),
        additionalProperties: inner("values", attributes, path),
      };
    case "record":
      return recordSchema(attributes.fields, path);
    default:
      return { type };
  }
}

/** Schema of the elements, keys or values; left out: anything. */
function inner(name: string, attributes: Attributes, path: string): JsonSchema {
  return attributes[name] === undefined ? {} : fieldSchema(attributes[name], `${path}.${name}`);
}

type Translate = (schema: JsonSchema, value: unknown, path: string) => void;

/** What attributes of a field say in JSON Schema. */
const ATTRIBUTES: Readonly<Record<string, Translate>> = {
  one_of: (schema, values, path) => {
    schema.enum = list("one_of", values, path);
  },
  not_one_of: (schema, values, path) => exclude(schema, { enum: list("not_one_of", values, path) }),
  eq: (schema, value) => {
    schema.const = value;
  },
  ne: (schema, value) => exclude(schema, { const: value }),
  between: (schema, bounds, path) => {
    const [low, high, ...others] = list("between", bounds, path);
    if (typeof low !== "number" || typeof high !== "number" || others.length > 0) {
      fail(path, `between ${shown(bounds)}`, "two numbers");
    }
    Object.assign(schema, { minimum: low, maximum: high });
  },
  gt: (schema, bound, path) => {
    schema.exclusiveMinimum = number("gt", bound, path);
  },
  lt: (schema, bound, path) => {
    schema.exclusiveMaximum = number("lt", bound, path);
  },
  contains: (schema, value) => {
    schema.contains = { const: value };
  },
  len_min: (schema, size, path) => {
    schema[`min${sizeOf(schema)}`] = number("len_min", size, path);
  },
  len_max: (schema, size, path) => {
    schema[`max${sizeOf(schema)}`] = number("len_max", size, path);
  },
  len_eq: (schema, size, path) => {
    schema[`min${sizeOf(schema)}`] = number("len_eq", size, path);
    schema[`max${sizeOf(schema)}`] = size;
  },
  match: (schema, pattern, path) => addPattern(schema, luaPattern("match", pattern, path)),
  match_all: (schema, patterns, path) => {
    for (const item of list("match_all", patterns, path)) addPattern(schema, luaPattern("match_all", item, path));
  },
  match_none: (schema, patterns, path) => {
    for (const item of list("match_none", patterns, path)) {
      exclude(schema, { pattern: luaPattern("match_none", item, path) });
    }
  },
  match_any: (schema, value, path) => {
    const patterns = isPlainObject(value) ? value.patterns : value;
    const anyOf = list("match_any", patterns, path).map((item) => ({ pattern: luaPattern("match_any", item, path) }));
    schema.allOf = [...((schema.allOf ?? []) as unknown[]), { anyOf }];
  },
  not_match: (schema, pattern, path) => exclude(schema, { pattern: luaPattern("not_match", pattern, path) }),
  starts_with: (schema, given, path) => addPattern(schema, startingWith(text("starts_with", given, path))),
  ends_with: (schema, given, path) => addPattern(schema, endingWith(text("ends_with", given, path))),
  uuid: (schema, wanted) => {
    if (wanted === true) addPattern(schema, UUID);
  },
  referenceable: (schema, wanted) => {
    if (wanted === true) schema["x-referenceable"] = true;
  },
  encrypted: (schema, wanted) => {
    if (wanted === true) schema["x-secret"] = true;
  },
};

const KNOWN = [...OF_TYPE, ...Object.keys(ATTRIBUTES)].sort().join(", ");

/** Adds a condition beside those that are there. */
function addPattern(schema: JsonSchema, pattern: string): void {
  if (schema.pattern === undefined) schema.pattern = pattern;
  else schema.allOf = [...((schema.allOf ?? []) as unknown[]), { pattern }];
}

function exclude(schema: JsonSchema, not: JsonSchema): void {
  if (schema.not === undefined) schema.not = not;
  else schema.allOf = [...((schema.allOf ?? []) as unknown[]), { not }];
}

/** What the size of a value is called. */
function sizeOf({ type }: JsonSchema): string {
  if (type === "string") return "Length";
  return type === "array" ? "Items" : "Properties";
}

/** The pattern of match, or of one of its entries, which Kong writes as {pattern, err}. */
function luaPattern(name: string, value: unknown, path: string): string {
  const pattern = isPlainObject(value) ? value.pattern : value;
  if (typeof pattern !== "string") return fail(path, `${name} ${shown(value)}`, "a Lua pattern");
  try {
    return regexpOfLua(pattern);
  } catch (cause) {
    if (!(cause instanceof UntranslatablePattern)) throw cause;
    throw new PluginError(`Schema: field ${path}: ${cause.message}; expected a simpler ${name}, or a JSON Schema`, {
      cause,
    });
  }
}

function list(name: string, value: unknown, path: string): unknown[] {
  return Array.isArray(value) ? value : fail(path, `${name} ${shown(value)}`, "a list");
}

function text(name: string, value: unknown, path: string): string {
  return typeof value === "string" ? value : fail(path, `${name} ${shown(value)}`, "text");
}

function number(name: string, value: unknown, path: string): number {
  return typeof value === "number" ? value : fail(path, `${name} ${shown(value)}`, "a number");
}

function shown(value: unknown): string {
  return value === undefined ? "nothing" : (JSON.stringify(value) ?? String(value));
}

function fail(path: string, found: string, expected: string): never {
  throw new PluginError(`Schema${path === "" ? "" : `: field ${path}`}: found ${found}; expected ${expected}`);
}
