import { isPlainObject } from "../runtime/msgpack_write.js";
import { itemSchema, parts, propertySchemas, type Schema } from "./parts.js";

/** A copy of a configuration with the schema's defaults at every depth. A null that the schema does not allow counts as absent. */
export function withDefaults(schema: Schema, config: unknown): unknown {
  return fillPart(schema, schema, config);
}

/** The same for a part of a schema; references lead into the whole. */
export function fillPart(root: Schema, schema: unknown, value: unknown): unknown {
  return fill(root, schema, structuredClone(value));
}

function fill(root: Schema, schema: unknown, value: unknown): unknown {
  for (const part of parts(root, schema)) {
    if (Array.isArray(value)) {
      for (const [i, item] of value.entries()) value[i] = fill(root, itemSchema(part, i), item);
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
    if (value[name] !== undefined) continue;
    const found = parts(root, sub).find((part) => part.default !== undefined);
    if (found !== undefined) value[name] = structuredClone(found.default);
  }
  for (const name of Object.keys(value)) {
    for (const sub of propertySchemas(schema, name)) value[name] = fill(root, sub, value[name]);
  }
}

function allowsNull(root: Schema, schema: unknown): boolean {
  return parts(root, schema).every(({ type, enum: values }) => {
    if (type !== undefined && ![type].flat().includes("null")) return false;
    return !Array.isArray(values) || values.includes(null);
  });
}

/**
 * A copy of a configuration in which references to secrets, where the schema says x-referenceable, are the secrets.
 *
 * @param resolve - the secret of a text that may be a reference; undefined: it is none, or leads nowhere.
 */
export function withSecrets(schema: Schema, config: unknown, resolve: (text: string) => string | undefined): unknown {
  return replace(schema, [schema], config, false, resolve);
}

function replace(
  root: Schema,
  schemas: readonly unknown[],
  value: unknown,
  above: boolean,
  resolve: (text: string) => string | undefined,
): unknown {
  const found = schemas.flatMap((schema) => parts(root, schema));
  const referenceable = above || found.some((part) => part["x-referenceable"] === true);
  if (typeof value === "string") return (referenceable ? resolve(value) : undefined) ?? value;
  const below = (sub: (part: Schema) => unknown[], item: unknown): unknown =>
    replace(root, found.flatMap(sub), item, referenceable, resolve);
  if (Array.isArray(value)) return value.map((item, i) => below((part) => [itemSchema(part, i)], item));
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [name, below((part) => propertySchemas(part, name), item)]),
  );
}
