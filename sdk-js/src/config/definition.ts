import { isPlainObject } from "../runtime/msgpack_write.js";
import { checkPart } from "./check.js";
import { fillPart } from "./defaults.js";
import { join, resolveRef, type Schema } from "./parts.js";

const TYPES = ["null", "boolean", "object", "array", "number", "string", "integer"];

/** Keywords that hold schemas by name, in a list, and alone. */
const NAMED = ["properties", "patternProperties", "$defs", "dependentSchemas"];
const LISTED = ["allOf", "anyOf", "oneOf", "prefixItems"];
const ALONE = ["items", "additionalProperties", "propertyNames", "not", "contains", "if", "then", "else"];

/**
 * What is wrong with a JSON Schema itself, or null. The host compiles it whole; this finds the common mistakes where the plugin is
 * written.
 */
export function schemaFault(schema: Schema): string | null {
  return fault(schema, schema, "");
}

function fault(root: Schema, schema: unknown, path: string): string | null {
  if (typeof schema === "boolean") return null;
  const where = path === "" ? "schema" : `schema at ${path}`;
  if (!isPlainObject(schema)) return `${where}: found ${JSON.stringify(schema)}; expected a JSON Schema`;
  const { type, pattern, required, $ref } = schema;
  for (const name of type === undefined ? [] : [type].flat()) {
    if (!TYPES.includes(name as string)) {
      return `${where}: found type ${JSON.stringify(name)}; expected one of ${TYPES.join(", ")}`;
    }
  }
  if (pattern !== undefined && !isPattern(pattern)) {
    return `${where}: found pattern ${JSON.stringify(pattern)}; expected a regular expression`;
  }
  if (required !== undefined && !(Array.isArray(required) && required.every((name) => typeof name === "string"))) {
    return `${where}: found required ${JSON.stringify(required)}; expected a list of names`;
  }
  if (typeof $ref === "string" && resolveRef(root, $ref) === undefined) {
    return `${where}: found $ref ${JSON.stringify($ref)}; expected a place inside the schema, such as #/$defs/name`;
  }
  for (const [step, sub] of below(schema)) {
    const found = fault(root, sub, join(path, step));
    if (found !== null) return found;
  }
  if (schema.default === undefined) return null;
  const [wrong] = checkPart(root, schema, fillPart(root, schema, schema.default));
  if (wrong === undefined) return null;
  return `${where}: its default breaks its own rules: ${wrong.path === "" ? "" : `${wrong.path}: `}${wrong.message}`;
}

/** The schemas inside of a schema, each with its place. */
function* below(schema: Schema): IterableIterator<[string, unknown]> {
  for (const keyword of NAMED) {
    if (isPlainObject(schema[keyword])) {
      for (const [name, sub] of Object.entries(schema[keyword])) yield [`${keyword}.${name}`, sub];
    }
  }
  for (const keyword of LISTED) {
    const list = schema[keyword];
    if (Array.isArray(list)) for (const [i, sub] of list.entries()) yield [`${keyword}.${i}`, sub];
  }
  for (const keyword of ALONE) if (schema[keyword] !== undefined) yield [keyword, schema[keyword]];
}

function isPattern(pattern: unknown): boolean {
  try {
    return typeof pattern === "string" && new RegExp(pattern, "u") instanceof RegExp;
  } catch {
    return false;
  }
}
