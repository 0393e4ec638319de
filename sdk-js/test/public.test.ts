/** What may be relied on: the names of the package, and the types that a plugin in TypeScript sees. The compiler checks the second part. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as main from "../src/index.js";
import {
  type Body,
  ConfigError,
  type ConfigOf,
  type ConsumerGroup,
  type ConsumerGroups,
  definePlugin,
  type Handlers,
  type KongModule,
  type KongPDK,
  kongPlugin,
  type MultiMap,
  type PDK,
  type Query,
  type QueryValue,
  type Reference,
  type Span,
} from "../src/index.js";
import * as server from "../src/server.js";
import * as testing from "../src/testing.js";

test("public names", () => {
  assert.deepEqual(Object.keys(main).sort(), [
    "ArgError",
    "ConfigError",
    "DataError",
    "HostError",
    "MultiMap",
    "PDKError",
    "PhaseError",
    "PluginError",
    "Query",
    "Span",
    "definePlugin",
    "kongPlugin",
  ]);
  assert.deepEqual(Object.keys(testing).sort(), ["Exchange", "HandlerFailure", "TestPlugin", "testPlugin"]);
  assert.deepEqual(Object.keys(server), ["PluginServer"]);
});

/** Compiles only when both types are the same. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const is = <A, B>(same: Same<A, B>): boolean => same;

/** Never called: the types of its expressions are the test. */
export async function functions(kong: PDK): Promise<void> {
  is<ReturnType<typeof kong.request.getHeader>, string | null>(true);
  is<ReturnType<typeof kong.request.getHeaders>, MultiMap>(true);
  is<ReturnType<typeof kong.request.getQuery>, Query>(true);
  is<ReturnType<typeof kong.request.getQueryArg>, QueryValue | null>(true);
  is<ReturnType<typeof kong.request.getBody>, Promise<Body>>(true);
  is<ReturnType<typeof kong.response.getRawBody>, Promise<Uint8Array>>(true);
  is<ReturnType<typeof kong.response.exit>, never>(true);
  is<ReturnType<typeof kong.client.getConsumerGroup>, ConsumerGroup | null>(true);
  is<ReturnType<typeof kong.client.authenticateConsumerGroupByConsumerId>, Promise<ConsumerGroups>>(true);
  is<ReturnType<typeof kong.client.tls.getFullClientCertificateChain>, Promise<string | null>>(true);
  is<ReturnType<typeof kong.service.setUpstream>, Promise<void>>(true);
  is<ReturnType<typeof kong.vault.parseReference>, Reference>(true);
  is<ReturnType<typeof kong.tracing.startSpan>, Span>(true);
  is<ReturnType<typeof kong.cluster.getId>, string | null>(true);
  is<ReturnType<typeof kong.cache.get>, Promise<unknown>>(true);
  kong.service.request.setBody([1], "application/json");
  kong.service.setFallbackTargets(["a:80"]);
  kong.cache.set("k", { any: "thing" }, 1.5);
  // @ts-expect-error - a port is a number
  kong.service.setTarget("host", "80");
  // @ts-expect-error - a group has an id
  kong.client.setAuthenticatedConsumerGroup({ name: "gold" });
  // @ts-expect-error - a status of spans is one of three
  kong.tracing.startSpan("s").setStatus("failed");
  // @ts-expect-error - there is no such function
  kong.request.getHaeder("x");
}

/** Plugins for Kong await everything. */
export async function kongFunctions(kong: KongPDK): Promise<void> {
  is<ReturnType<typeof kong.request.getHeader>, Promise<unknown>>(true);
  is<ReturnType<typeof kong.service.request.setHeader>, Promise<unknown>>(true);
  await kong.log("as notice");
  await kong.ctx.shared.set("k", 1);
}

// The plugin of docs/guides/config-schema.md.

const schema = {
  type: "object",
  additionalProperties: false,
  required: ["url"],
  properties: {
    url: { type: "string", pattern: "^https?://" },
    key: { type: "string", minLength: 8, "x-secret": true, "x-referenceable": true },
    mode: { enum: ["strict", "loose"], default: "strict" },
    hosts: { type: "array", items: { type: "string" }, uniqueItems: true, default: ["localhost"] },
    labels: { type: "object", additionalProperties: { type: "string" }, maxProperties: 10 },
    retry: {
      type: "object",
      additionalProperties: false,
      properties: { times: { type: "integer", minimum: 1, maximum: 10, default: 3 } },
      default: {},
    },
  },
} as const;

type Config = ConfigOf<typeof schema>;

class Shipper implements Handlers {
  constructor(readonly config: Config) {}

  log(kong: PDK): void {
    kong.log.info(this.config.retry.times, " tries at ", this.config.url);
  }
}

const shipper = definePlugin<Config>({
  name: "shipper",
  version: "0.1.0",
  schema,
  validate({ mode, key }) {
    if (mode === "strict" && key === undefined) {
      throw new ConfigError("key", "is missing, expected a key because mode is strict");
    }
  },
  instance: Shipper,
});

test("the guide's plugin does what the guide says", async () => {
  const reference = "{vault://env/my-key}";
  const given = { url: "https://logs.test", key: reference };
  const kit = await testing.testPlugin(shipper, given, { secrets: { [reference]: "s3cret-key" } });
  const { logs } = await kit.run();
  assert.equal(logs[0]?.message, "3 tries at https://logs.test");
  await assert.rejects(testing.testPlugin(shipper, { url: "https://logs.test" }), { code: "bad_config", path: "key" });
  await assert.rejects(testing.testPlugin(shipper, { url: "ftp://logs.test" }), { code: "bad_config", path: "url" });
});

const kongModule = {
  Plugin: class {
    async access(kong: KongPDK): Promise<void> {
      await kong.response.exit(204);
    }
  },
  Schema: [
    { url: { type: "string", required: true, starts_with: "https://" } },
    { key: { type: "string", len_min: 8, encrypted: true, referenceable: true } },
    { mode: { type: "string", one_of: ["strict", "loose"], default: "strict" } },
    { hosts: { type: "set", elements: { type: "string", match: "^[%w%.%-]+$" } } },
    { labels: { type: "map", keys: { type: "string" }, values: { type: "string" } } },
    {
      retry: { type: "record", required: true, fields: [{ times: { type: "integer", between: [1, 10], default: 3 } }] },
    },
  ],
} satisfies KongModule;

test("the guide's list does as well", async () => {
  const plugin = kongPlugin(kongModule, "shipper");
  const kit = await testing.testPlugin(plugin, { url: "https://logs.test", hosts: ["a.b-c"] });
  assert.equal((await kit.run()).response.status, 204);
  await assert.rejects(testing.testPlugin(plugin, { url: "https://logs.test", hosts: ["a b"] }), { path: "hosts.0" });
});
