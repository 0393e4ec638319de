/**
 * Runs plugins without a gateway: the engine of the plugin server on a request in memory, and an upstream that the test plays.
 *
 * ```js
 * const hello = await testPlugin(plugin, { greeting: "hi" });
 * const { upstream, response } = await hello.run({ headers: { "X-Name": "Ada" } });
 * ```
 */

import { checkConfig } from "./config/check.js";
import { withDefaults, withSecrets } from "./config/defaults.js";
import { ConfigError } from "./errors.js";
import type { AnyPlugin, PhaseName, Plugin } from "./plugin.js";
import { checkPlugin, PHASE_NAMES } from "./plugin.js";
import { Instances } from "./runtime/instances.js";
import type { TestCache } from "./runtime/test_context.js";
import { Exchange } from "./runtime/test_exchange.js";
import type { TestNode, TestRequest, TestResult, UpstreamResponse } from "./runtime/test_model.js";

export { Exchange } from "./runtime/test_exchange.js";
export {
  HandlerFailure,
  type TestHeaders,
  type TestLogLine,
  type TestNode,
  type TestReplay,
  type TestRequest,
  type TestResponse,
  type TestResult,
  type TestSpan,
  type TestTarget,
  type TestTelemetry,
  type TestTls,
  type UpstreamRequest,
  type UpstreamResponse,
} from "./runtime/test_model.js";

/** One configured instance of a plugin. */
export class TestPlugin {
  readonly #instances: Instances;
  readonly #phases: readonly PhaseName[];
  readonly #node: TestNode;
  readonly #cache: TestCache = new Map();

  constructor(instances: Instances, phases: readonly PhaseName[], node: TestNode) {
    this.#instances = instances;
    this.#phases = phases;
    this.#node = node;
  }

  /** What the plugin has put into its cache and may still read. */
  get cache(): Readonly<Record<string, unknown>> {
    const now = Date.now();
    const kept = [...this.#cache].filter(([, { until }]) => now < until);
    return Object.fromEntries(kept.map(([key, { value }]) => [key, value]));
  }

  /** A request whose phases the test runs one by one. */
  exchange(request: TestRequest = {}): Exchange {
    return new Exchange(this.#instances, this.#phases, this.#node, request, this.#cache);
  }

  /**
   * Sends a request through all phases that the plugin handles, in the gateway's order; rewrite too, as of a plugin that is
   * configured globally.
   *
   * @param upstream - what the upstream answers; 200 without a body when left out.
   * @throws HandlerFailure when a handler fails.
   */
  run(request: TestRequest = {}, upstream: UpstreamResponse = {}): Promise<TestResult> {
    return this.exchange(request).run(upstream);
  }

  /** Runs the close hook. */
  close(): Promise<void> {
    return this.#instances.releaseAll();
  }
}

/**
 * Makes an instance of a plugin, as the gateway does: the configuration is filled with the defaults of the schema, references to secrets
 * are resolved, and it is checked; then validate, constructor and configure run.
 *
 * @throws ConfigError when the schema or one of them refuses the configuration.
 */
export async function testPlugin<Config>(
  plugin: Plugin<Config>,
  config: Partial<Config> = {},
  node: TestNode = {},
): Promise<TestPlugin> {
  const checked: AnyPlugin = checkPlugin(plugin);
  const secrets = node.secrets ?? {};
  const given = withSecrets(checked.schema, withDefaults(checked.schema, config), (text) =>
    Object.hasOwn(secrets, text) ? secrets[text] : undefined,
  );
  const [wrong] = checkConfig(checked.schema, given);
  if (wrong !== undefined) throw new ConfigError(wrong.path, `${wrong.path || "configuration"}: ${wrong.message}`);
  const failures: string[] = [];
  const instances = new Instances([checked], (message) => failures.push(message));
  const pluginId = node.pluginId ?? "7a1f0000-0000-4000-8000-000000000001";
  const [refused] = await instances.configure(1, checked.name, Buffer.from(JSON.stringify(given)), pluginId);
  if (refused !== undefined) throw new ConfigError(refused.path, refused.message);
  return new TestPlugin(
    instances,
    PHASE_NAMES.filter((phase) => checked.phases.includes(phase)),
    node,
  );
}
