/** Schemas of configurations: JSON Schema, Kong's schema language, and the type that follows from one. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConfig } from "../src/config/check.js";
import { withDefaults } from "../src/config/defaults.js";
import { kongSchema } from "../src/config/kong_schema.js";
import { regexpOfLua } from "../src/config/lua_pattern.js";
import { ConfigError, type ConfigOf, definePlugin } from "../src/index.js";
import { testPlugin } from "../src/testing.js";

class Accepts {
  readonly config: unknown;

  constructor(config: unknown) {
    this.config = config;
  }

  access(): void {}
}

const faults = (schema: Record<string, unknown>, config: unknown): string[] =>
  checkConfig(schema, config).map(({ path, message }) => `${path}: ${message}`);

test("Kong's schema language in JSON Schema", () => {
  const schema = kongSchema([
    { message: { type: "string", required: true, default: "hello", description: "what to say" } },
    { mode: { type: "string", one_of: ["a", "b"] } },
    { port: { type: "integer", between: [0, 65535] } },
    { ratio: { type: "number", gt: 0 } },
    { on: { type: "boolean", default: false } },
    { key: { type: "string", referenceable: true, encrypted: true, len_min: 8, len_max: 64 } },
    { id: { type: "string", uuid: true } },
    { path: { type: "string", starts_with: "/a.b" } },
    { hosts: { type: "array", elements: { type: "string", match: "^%a+$" }, len_min: 1 } },
    { methods: { type: "set", elements: { type: "string", one_of: ["GET", "PUT"] } } },
    { limits: { type: "map", keys: { type: "string", len_min: 2 }, values: { type: "integer" } } },
    { retry: { type: "record", required: true, fields: [{ times: { type: "integer", default: 3 } }] } },
    { not_this: { type: "string", not_one_of: ["x"], eq: "y", len_min: 0 } },
  ]);
  assert.deepEqual(schema, {
    type: "object",
    properties: {
      message: { type: "string", description: "what to say", default: "hello", minLength: 1 },
      mode: { type: "string", enum: ["a", "b"], minLength: 1 },
      port: { type: "integer", minimum: 0, maximum: 65535 },
      ratio: { type: "number", exclusiveMinimum: 0 },
      on: { type: "boolean", default: false },
      key: { type: "string", "x-referenceable": true, "x-secret": true, minLength: 8, maxLength: 64 },
      id: { type: "string", pattern: "^[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$", minLength: 1 },
      path: { type: "string", pattern: "^\\/a\\.b", minLength: 1 },
      hosts: { type: "array", items: { type: "string", pattern: "^[A-Za-z]+$", minLength: 1 }, minItems: 1 },
      methods: { type: "array", items: { type: "string", enum: ["GET", "PUT"], minLength: 1 }, uniqueItems: true },
      limits: {
        type: "object",
        propertyNames: { type: "string", minLength: 2 },
        additionalProperties: { type: "integer" },
      },
      retry: {
        type: "object",
        properties: { times: { type: "integer", default: 3 } },
        additionalProperties: false,
        default: {},
      },
      not_this: { type: "string", not: { enum: ["x"] }, const: "y", minLength: 0 },
    },
    additionalProperties: false,
  });
  const filled = withDefaults(schema, { methods: ["GET"], limits: { ab: 1 } });
  assert.deepEqual(filled, {
    message: "hello",
    on: false,
    retry: { times: 3 },
    methods: ["GET"],
    limits: { ab: 1 },
  });
  assert.deepEqual(faults(schema, filled), []);
  const wrong = {
    ...(filled as object),
    methods: ["GET", "GET"],
    limits: { a: 1 },
    hosts: [],
    not_this: "x",
    port: -1,
  };
  assert.deepEqual(faults(schema, wrong), [
    'methods: found ["GET","GET"]; expected each item once',
    'limits.a: found "a"; expected at least 2 characters',
    "hosts: found []; expected at least 1 items",
    'not_this: found "x"; expected "y"',
    "port: found -1; expected at least 0",
  ]);
});

test("Kong's rules for texts, lists and bounds", () => {
  const schema = kongSchema([
    { ratio: { type: "number", lt: 1 } },
    { hosts: { type: "array", elements: { type: "string" }, contains: "gw.test" } },
    { file: { type: "string", ends_with: ".a+b" } },
    { word: { type: "string", match_any: { patterns: ["^a", "b$"], err: "no" }, not_match: "%s" } },
  ]);
  const good = { ratio: 0.5, hosts: ["x", "gw.test"], file: "x.a+b", word: "cb" };
  assert.deepEqual(faults(schema, good), []);
  assert.deepEqual(faults(schema, { ratio: 1, hosts: ["x"], file: "x.aab", word: "c" }), [
    "ratio: found 1; expected less than 1",
    'hosts: found ["x"]; expected a list that contains {"const":"gw.test"}',
    'file: found "x.aab"; expected text that matches \\.a\\+b$',
    'word: found "c"; expected what one of its alternatives says',
  ]);
  assert.deepEqual(faults(schema, { word: "a b" }), ['word: found "a b"; expected another value']);
  assert.deepEqual(faults({ type: "number", multipleOf: 0.1 }, 0.3), []);
});

test("a list that is no schema is refused with the field's path, found and expected", () => {
  const refused = (schema: unknown, message: RegExp): void =>
    assert.throws(() => definePlugin({ name: "p", version: "1", schema: schema as never, instance: Accepts }), {
      code: "bad_plugin",
      message,
    });
  refused([{ a: { type: "text" } }], /plugin "p": Schema: field a: found type "text"; expected one of string, number/);
  refused([{ a: { type: "string" }, b: { type: "string" } }], /Schema: found .*; expected one field with its name/);
  refused([{ r: { type: "record", fields: [{ a: {} }] } }], /field r\.a: found type nothing; expected one of/);
  refused([{ l: { type: "array", elements: { type: "x" } } }], /field l\.elements: found type "x"/);
  refused(
    [{ a: { type: "string", custom_validator: 1 } }],
    /field a: found attribute custom_validator, which JSON Schema cannot say/,
  );
  refused([{ a: { type: "string", is_regex: true } }], /found attribute is_regex, which JSON Schema cannot say/);
  refused([{ a: { type: "string", ends_with: 5 } }], /field a: found ends_with 5; expected text/);
  refused([{ a: { type: "integer", between: [1] } }], /field a: found between \[1\]; expected two numbers/);
  refused([{ a: { type: "string" } }, { a: { type: "string" } }], /field a: found it twice; expected each name once/);
  refused(
    [{ a: { type: "string", match: "%f[%w]x" } }],
    /field a: Lua pattern "%f\[%w\]x": found %f, which JSON Schema cannot say/,
  );
  refused([{ a: { type: "string", minimum: 1 } }], /field a: found attribute minimum; expected one of .*between/);
  refused(
    [{ a: { type: "integer", gt: 0, default: 0 } }],
    /schema at properties\.a: its default breaks its own rules: found 0; expected more than 0/,
  );
  refused({ type: "objekt" }, /schema: found type "objekt"; expected one of null, boolean/);
  refused(
    { properties: { a: { pattern: "(" } } },
    /schema at properties\.a: found pattern "\("; expected a regular expression/,
  );
  refused({ items: { $ref: "#/$defs/x" } }, /schema at items: found \$ref "#\/\$defs\/x"; expected a place inside/);
  refused("x", /found schema "x"; expected a JSON Schema object, or a list/);
});

test("Lua patterns as regular expressions", () => {
  for (const [pattern, matching, others] of [
    ["^%a[%w_]*$", ["a", "a_1"], ["1a", "a-"]],
    ["^%d+%.%d+$", ["1.2"], ["1x2", "1."]],
    ["^[^%s/]+$", ["ab"], ["a b", "a/b"]],
    ["a-b", ["b", "aab"], ["c"]],
    ["^(ab)+$", ["ab+"], ["abab"]],
    ["^[]x]$", ["]", "x"], ["y"]],
    ["^[%-a-c]$", ["-", "b"], ["d"]],
    ["^%%$", ["%"], ["a"]],
    ["%S+", ["a"], ["  "]],
    ["^.$", ["\n", "é"], ["ab"]],
    ["^https?://", ["http://x", "https://x"], ["ftp://x"]],
    ["^a$b$", ["a$b"], ["ab"]],
    ["^%x%x$", ["aF"], ["g0"]],
  ] as const) {
    const regexp = new RegExp(regexpOfLua(pattern), "u");
    for (const text of matching) assert.match(text, regexp, `${pattern} and ${JSON.stringify(text)}`);
    for (const text of others) assert.doesNotMatch(text, regexp, `${pattern} and ${JSON.stringify(text)}`);
  }
  for (const pattern of ["%b()", "%1", "()", "(a", "a)", "[a", "[%W]", "%", "[z-a]"]) {
    assert.throws(() => regexpOfLua(pattern), /Lua pattern .*: found /, pattern);
  }
});

test("validate refuses a field after the schema and before the instance", async () => {
  const made: unknown[] = [];
  class Counts extends Accepts {
    constructor(config: unknown) {
      super(config);
      made.push(config);
    }
  }
  const plugin = definePlugin<{ low: number; high: number }>({
    name: "p",
    version: "1",
    schema: [{ low: { type: "number", default: 1 } }, { high: { type: "number", default: 2 } }],
    validate: async ({ low, high }) => {
      if (low > high) throw new ConfigError("low", `found ${low}; expected at most high, ${high}`);
    },
    instance: Counts,
  });
  await assert.rejects(testPlugin(plugin, { low: 3 }), {
    code: "bad_config",
    path: "low",
    message: "found 3; expected at most high, 2",
  });
  assert.deepEqual(made, []);
  await testPlugin(plugin, { high: 9 });
  assert.deepEqual(made, [{ low: 1, high: 9 }]);
});

test("secrets are not shown, and references become secrets where the schema allows it", async () => {
  const schema = {
    type: "object",
    properties: {
      key: { type: "string", minLength: 8, "x-secret": true, "x-referenceable": true },
      nested: { type: "object", "x-secret": true, properties: { pin: { type: "integer" } } },
      plain: { type: "string" },
    },
  };
  assert.deepEqual(faults(schema, { key: "hunter2", nested: { pin: "1234" } }), [
    "key: found a secret; expected at least 8 characters",
    "nested.pin: found a secret; expected integer",
  ]);
  let seen: unknown;
  class Keeps {
    constructor(config: unknown) {
      seen = config;
    }
    access(): void {}
  }
  const plugin = definePlugin({ name: "p", version: "1", schema, instance: Keeps });
  const reference = "{vault://env/key}";
  await testPlugin(plugin, { key: reference, plain: reference } as object, { secrets: { [reference]: "long secret" } });
  assert.deepEqual(seen, { key: "long secret", plain: reference });
});

test("alternatives, patterns of names and multiples are checked", () => {
  const schema = {
    properties: {
      port: { anyOf: [{ type: "integer" }, { const: "auto" }] },
      one: { oneOf: [{ minimum: 1 }, { minimum: 5 }] },
      step: { type: "number", multipleOf: 0.5 },
    },
    patternProperties: { "^x-": { type: "string" } },
    additionalProperties: false,
    maxProperties: 4,
  };
  assert.deepEqual(faults(schema, { port: "auto", one: 2, step: 1.5, "x-a": "b" }), []);
  assert.deepEqual(faults(schema, { port: "x", one: 6, step: 1.2, "x-a": 1 }), [
    'port: found "x"; expected what one of its alternatives says',
    "one: found 6; expected what exactly one of its alternatives says",
    "step: found 1.2; expected a multiple of 0.5",
    "x-a: found 1; expected string",
  ]);
  assert.deepEqual(faults(schema, { "x-1": "", "x-2": "", "x-3": "", "x-4": "", "x-5": "" }).length, 1);
  assert.deepEqual(faults(schema, { y: 1 }), ["y: is not known"]);
});

const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string" },
    mode: { enum: ["a", "b"], default: "a" },
    port: { type: ["integer", "null"], default: 80 },
    tags: { type: "array", items: { type: "string" } },
    limits: { type: "object", additionalProperties: { type: "number" } },
    nested: { type: "object", properties: { on: { type: "boolean" } }, required: ["on"] },
  },
  required: ["name", "nested"],
} as const;

test("the type of a configuration follows from its schema", async () => {
  type Config = ConfigOf<typeof SCHEMA>;
  const config: Config = { name: "n", mode: "b", port: null, nested: { on: true }, tags: ["t"], limits: { a: 1 } };
  const least: Config = { name: "n", mode: "a", port: 1, nested: { on: false } };
  // @ts-expect-error - name is required
  const nameless: Config = { mode: "a", port: 1, nested: { on: false } };
  // @ts-expect-error - c is no mode
  const moded: Config = { ...least, mode: "c" };
  // @ts-expect-error - tags are texts
  const tagged: Config = { ...least, tags: [1] };
  // @ts-expect-error - there may be no tags
  const tag: string = (config as Config).tags[0];
  class Instance {
    readonly port: number | null;

    constructor({ port }: Config) {
      this.port = port;
    }

    access(): void {}
  }
  const plugin = definePlugin<Config>({ name: "p", version: "1", schema: SCHEMA, instance: Instance });
  await testPlugin(plugin, { name: "n", nested: { on: true } });
  assert.equal([config, least, nameless, moded, tagged, tag].length, 6);
});
