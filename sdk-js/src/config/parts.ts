import { isPlainObject } from "../runtime/msgpack_write.js";

/** A JSON Schema, or a part of one. */
export type Schema = Readonly<Record<string, unknown>>;

/** The schemas that say something about the same value: the schema, what it refers to, and allOf. */
export function parts(root: Schema, schema: unknown, seen = new Set<unknown>()): Schema[] {
  if (!isPlainObject(schema) || seen.has(schema)) return [];
  seen.add(schema);
  const found: Schema[] = [schema];
  if (typeof schema.$ref === "string") found.push(...parts(root, resolveRef(root, schema.$ref), seen));
  if (Array.isArray(schema.allOf)) for (const sub of schema.allOf) found.push(...parts(root, sub, seen));
  return found;
}

/** A reference inside the schema, such as #/$defs/limit. */
export function resolveRef(root: Schema, ref: string): unknown {
  if (!ref.startsWith("#")) return undefined;
  let at: unknown = root;
  for (const step of ref.slice(1).split("/").slice(1)) {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    at = isPlainObject(at) ? at[name] : undefined;
  }
  return at;
}

/** Dotted path of a step below a place; docs of ConfigError. */
export function join(path: string, step: string): string {
  return path === "" ? step : `${path}.${step}`;
}

/** Schemas of one item of an array. */
export function itemSchema(schema: Schema, index: number): unknown {
  const prefix = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
  return prefix[index] ?? schema.items;
}

/** Schemas of one property of an object: by its name, by patterns, else that of all others. undefined: nothing is said. */
export function propertySchemas(schema: Schema, name: string): unknown[] {
  const found: unknown[] = [];
  const { properties, patternProperties, additionalProperties } = schema;
  if (isPlainObject(properties) && Object.hasOwn(properties, name)) found.push(properties[name]);
  if (isPlainObject(patternProperties)) {
    for (const [pattern, sub] of Object.entries(patternProperties)) {
      if (new RegExp(pattern, "u").test(name)) found.push(sub);
    }
  }
  return found.length === 0 ? [additionalProperties] : found;
}
