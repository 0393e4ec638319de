import { isPlainObject } from "./msgpack_write.js";

/*
 * The part of JSON Schema 2020-12 that configurations use, for the testing kit: the host checks with a complete implementation and
 * fills in the defaults before a configuration comes to a plugin server.
 */

type Schema = Readonly<Record<string, unknown>>;

/** What is wrong at a place of a configuration; the path is dotted. */
export interface SchemaError {
  readonly path: string;
  readonly message: string;
}

/** A copy of a configuration with the schema's defaults at every depth. A null that the schema does not allow counts as absent. */
export function withDefaults(schema: Schema, config: unknown): unknown {
  return fill(schema, schema, structuredClone(config));
}

function fill(root: Schema, schema: unknown, value: unknown): unknown {
  for (const part of parts(root, schema)) {
    if (Array.isArray(value)) {
      const prefix = Array.isArray(part.prefixItems) ? part.prefixItems : [];
      for (const [i, item] of value.entries()) value[i] = fill(root, prefix[i] ?? part.items, item);
    } else if (isPlainObject(value)) {
      fillObject(root, part, value);
    }
  }
  return value;
}

function fillObject(root: Schema, schema: Schema, value: Record<string, unknown>): void {
  const properties = isPlainObject(schema.properties) ? schema.properties : {};
  for (const [name, sub] of Object.entries(properties)) {
    if (value[name] === null && !allowsNull(root, sub)) delete value[name];
    if (value[name] === undefined) {
      const found = parts(root, sub).find((part) => part.default !== undefined);
      if (found !== undefined) value[name] = structuredClone(found.default);
    }
    if (value[name] !== undefined) value[name] = fill(root, sub, value[name]);
  }
  if (!isPlainObject(schema.additionalProperties)) return;
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(properties, name)) value[name] = fill(root, schema.additionalProperties, value[name]);
  }
}

/** The schemas that say something about the same value: the schema, what it refers to, and allOf. */
function parts(root: Schema, schema: unknown, seen = new Set<unknown>()): Schema[] {
  if (!isPlainObject(schema) || seen.has(schema)) return [];
  seen.add(schema);
  const found: Schema[] = [schema];
  if (typeof schema.$ref === "string") found.push(...parts(root, resolveRef(root, schema.$ref), seen));
  if (Array.isArray(schema.allOf)) for (const sub of schema.allOf) found.push(...parts(root, sub, seen));
  return found;
}

/** A reference inside the schema, such as #/$defs/limit. */
function resolveRef(root: Schema, ref: string): unknown {
  if (!ref.startsWith("#")) return undefined;
  let at: unknown = root;
  for (const step of ref.slice(1).split("/").slice(1)) {
    const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
    at = isPlainObject(at) ? at[name] : undefined;
  }
  return at;
}

function allowsNull(root: Schema, schema: unknown): boolean {
  return parts(root, schema).every(({ type, enum: values }) => {
    if (type !== undefined && ![type].flat().includes("null")) return false;
    return !Array.isArray(values) || values.includes(null);
  });
}

/** Everything that is wrong with a configuration. */
export function checkConfig(schema: Schema, config: unknown): SchemaError[] {
  const errors: SchemaError[] = [];
  check(schema, schema, config, "", errors);
  return errors;
}

function check(root: Schema, schema: unknown, value: unknown, path: string, errors: SchemaError[]): void {
  if (schema === false) errors.push({ path, message: "is not allowed here" });
  for (const part of parts(root, schema)) {
    const before = errors.length;
    checkValue(part, value, path, errors);
    if (errors.length > before) continue;
    if (Array.isArray(value)) {
      const prefix = Array.isArray(part.prefixItems) ? part.prefixItems : [];
      for (const [i, item] of value.entries())
        check(root, prefix[i] ?? part.items, item, join(path, String(i)), errors);
    } else if (isPlainObject(value)) {
      checkObject(root, part, value, path, errors);
    }
  }
}

function checkValue(schema: Schema, value: unknown, path: string, errors: SchemaError[]): void {
  const fail = (expected: string): void => {
    errors.push({ path, message: `found ${JSON.stringify(value)}; expected ${expected}` });
  };
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isType(type, value))) {
    fail(types.join(" or "));
    return;
  }
  if (Array.isArray(schema.enum) && !schema.enum.includes(value)) fail(`one of ${JSON.stringify(schema.enum)}`);
  if (schema.const !== undefined && schema.const !== value) fail(JSON.stringify(schema.const));
  if (typeof value === "number") {
    const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema;
    if (typeof minimum === "number" && value < minimum) fail(`at least ${minimum}`);
    if (typeof maximum === "number" && value > maximum) fail(`at most ${maximum}`);
    if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) fail(`more than ${exclusiveMinimum}`);
    if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) fail(`less than ${exclusiveMaximum}`);
  }
  if (typeof value === "string") {
    const { minLength, maxLength, pattern } = schema;
    const length = [...value].length;
    if (typeof minLength === "number" && length < minLength) fail(`at least ${minLength} characters`);
    if (typeof maxLength === "number" && length > maxLength) fail(`at most ${maxLength} characters`);
    if (typeof pattern === "string" && !new RegExp(pattern, "u").test(value)) fail(`text that matches ${pattern}`);
  }
  if (Array.isArray(value)) {
    const { minItems, maxItems } = schema;
    if (typeof minItems === "number" && value.length < minItems) fail(`at least ${minItems} items`);
    if (typeof maxItems === "number" && value.length > maxItems) fail(`at most ${maxItems} items`);
  }
}

function checkObject(
  root: Schema,
  schema: Schema,
  value: Record<string, unknown>,
  path: string,
  errors: SchemaError[],
): void {
  const properties = isPlainObject(schema.properties) ? schema.properties : {};
  for (const name of Array.isArray(schema.required) ? schema.required : []) {
    if (!Object.hasOwn(value, String(name))) errors.push({ path: join(path, String(name)), message: "is required" });
  }
  for (const [name, item] of Object.entries(value)) {
    if (Object.hasOwn(properties, name)) check(root, properties[name], item, join(path, name), errors);
    else if (schema.additionalProperties === false) errors.push({ path: join(path, name), message: "is not known" });
    else check(root, schema.additionalProperties, item, join(path, name), errors);
  }
}

function isType(type: unknown, value: unknown): boolean {
  switch (type) {
    case "null":
      return value === null;
    case "array":
      return Array.isArray(value);
    case "object":
      return isPlainObject(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

function join(path: string, step: string): string {
  return path === "" ? step : `${path}.${step}`;
}
