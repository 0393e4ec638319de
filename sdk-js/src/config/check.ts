import { isDeepStrictEqual } from "node:util";
import { isPlainObject } from "../runtime/msgpack_write.js";
import { itemSchema, join, parts, propertySchemas, type Schema } from "./parts.js";

/*
 * The part of JSON Schema 2020-12 that configurations use, for the testing kit: the host checks with a complete implementation and
 * fills in the defaults before a configuration comes to a plugin server.
 */

/** What is wrong at a place of a configuration; the path is dotted. */
export interface SchemaError {
  readonly path: string;
  readonly message: string;
}

/** Everything that is wrong with a configuration. Values that the schema calls x-secret are not shown. */
export function checkConfig(schema: Schema, config: unknown): SchemaError[] {
  return checkPart(schema, schema, config);
}

/** Everything that is wrong with a value of a part of a schema; references lead into the whole. */
export function checkPart(root: Schema, schema: unknown, value: unknown): SchemaError[] {
  const errors: SchemaError[] = [];
  new Check(root, errors).value(schema, value, { path: "", secret: false });
  return errors;
}

/** Where a value is, and whether it must not be shown. */
interface Place {
  readonly path: string;
  readonly secret: boolean;
}

class Check {
  readonly #root: Schema;
  readonly #errors: SchemaError[];

  constructor(root: Schema, errors: SchemaError[]) {
    this.#root = root;
    this.#errors = errors;
  }

  value(schema: unknown, value: unknown, above: Place): void {
    if (schema === false) this.#errors.push({ path: above.path, message: "is not allowed here" });
    const found = parts(this.#root, schema);
    const place = { path: above.path, secret: above.secret || found.some((part) => part["x-secret"] === true) };
    for (const part of found) {
      const wrong = faultsOf(part, value);
      const shown = place.secret ? "a secret" : JSON.stringify(value);
      for (const expected of wrong) {
        this.#errors.push({ path: place.path, message: `found ${shown}; expected ${expected}` });
      }
      if (wrong.length === 0) this.#branches(part, value, place);
      if (wrong.length > 0) continue;
      if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) {
          this.value(itemSchema(part, i), item, { ...place, path: join(place.path, String(i)) });
        }
      } else if (isPlainObject(value)) {
        this.#object(part, value, place);
      }
    }
  }

  #object(schema: Schema, value: Record<string, unknown>, place: Place): void {
    for (const name of Array.isArray(schema.required) ? schema.required : []) {
      if (!Object.hasOwn(value, String(name))) {
        this.#errors.push({ path: join(place.path, String(name)), message: "is required" });
      }
    }
    for (const [name, item] of Object.entries(value)) {
      const below = { ...place, path: join(place.path, name) };
      if (schema.propertyNames !== undefined) this.value(schema.propertyNames, name, { ...below, secret: false });
      for (const sub of propertySchemas(schema, name)) {
        if (sub === false) this.#errors.push({ path: below.path, message: "is not known" });
        else this.value(sub, item, below);
      }
    }
  }

  /** contains, anyOf, oneOf and not. */
  #branches(schema: Schema, value: unknown, place: Place): void {
    const fits = (sub: unknown, item = value): boolean => {
      const errors: SchemaError[] = [];
      new Check(this.#root, errors).value(sub, item, place);
      return errors.length === 0;
    };
    const shown = place.secret ? "a secret" : JSON.stringify(value);
    const fail = (expected: string): void => {
      this.#errors.push({ path: place.path, message: `found ${shown}; expected ${expected}` });
    };
    const { anyOf, oneOf, not, contains } = schema;
    if (Array.isArray(value) && contains !== undefined && !value.some((item) => fits(contains, item))) {
      fail(`a list that contains ${JSON.stringify(contains)}`);
    }
    if (Array.isArray(anyOf) && !anyOf.some((sub) => fits(sub))) fail("what one of its alternatives says");
    if (Array.isArray(oneOf) && oneOf.filter((sub) => fits(sub)).length !== 1) {
      fail("what exactly one of its alternatives says");
    }
    if (not !== undefined && fits(not)) {
      const values = isPlainObject(not) && Array.isArray(not.enum) ? ` than ${JSON.stringify(not.enum)}` : "";
      fail(`another value${values}`);
    }
  }
}

/** What a schema expects that a value, apart from what is inside of it, is not. */
function faultsOf(schema: Schema, value: unknown): string[] {
  const types = schema.type === undefined ? [] : [schema.type].flat();
  if (types.length > 0 && !types.some((type) => isType(type, value))) return [types.join(" or ")];
  const faults: string[] = [];
  const { enum: values, const: only } = schema;
  if (Array.isArray(values) && !values.some((item) => isDeepStrictEqual(item, value))) {
    faults.push(`one of ${JSON.stringify(values)}`);
  }
  if (only !== undefined && !isDeepStrictEqual(only, value)) faults.push(JSON.stringify(only));
  if (typeof value === "number") faults.push(...numberFaults(schema, value));
  if (typeof value === "string") faults.push(...textFaults(schema, value));
  if (Array.isArray(value)) faults.push(...arrayFaults(schema, value));
  if (isPlainObject(value)) faults.push(...sizeFaults(schema, "Properties", "fields", Object.keys(value).length));
  return faults;
}

function numberFaults(schema: Schema, value: number): string[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema;
  const faults: string[] = [];
  if (typeof minimum === "number" && value < minimum) faults.push(`at least ${minimum}`);
  if (typeof maximum === "number" && value > maximum) faults.push(`at most ${maximum}`);
  if (typeof exclusiveMinimum === "number" && value <= exclusiveMinimum) faults.push(`more than ${exclusiveMinimum}`);
  if (typeof exclusiveMaximum === "number" && value >= exclusiveMaximum) faults.push(`less than ${exclusiveMaximum}`);
  if (typeof multipleOf === "number" && Math.abs(value / multipleOf - Math.round(value / multipleOf)) > 1e-9)
    faults.push(`a multiple of ${multipleOf}`);
  return faults;
}

function textFaults(schema: Schema, value: string): string[] {
  const faults = sizeFaults(schema, "Length", "characters", [...value].length);
  const { pattern } = schema;
  if (typeof pattern === "string" && !new RegExp(pattern, "u").test(value)) faults.push(`text that matches ${pattern}`);
  return faults;
}

function arrayFaults(schema: Schema, value: readonly unknown[]): string[] {
  const faults = sizeFaults(schema, "Items", "items", value.length);
  const repeated = value.some((item, i) => value.slice(0, i).some((before) => isDeepStrictEqual(before, item)));
  if (schema.uniqueItems === true && repeated) faults.push("each item once");
  return faults;
}

/** The bounds of a size, such as minLength and maxLength. */
function sizeFaults(schema: Schema, what: string, unit: string, size: number): string[] {
  const [least, most] = [schema[`min${what}`], schema[`max${what}`]];
  const faults: string[] = [];
  if (typeof least === "number" && size < least) faults.push(`at least ${least} ${unit}`);
  if (typeof most === "number" && size > most) faults.push(`at most ${most} ${unit}`);
  return faults;
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
