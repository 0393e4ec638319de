/**
 * Answers vectors with the testing kit: reads one task a line from standard input and writes one answer a line to standard output, in
 * order. docs/conformance.md says what stands in them.
 */
import { createInterface } from "node:readline";
import { PDKError } from "outrigger-pdk";
import { testPlugin } from "outrigger-pdk/testing";
import driver from "./driver.js";
import { fromSpelling, spell } from "./spelling.js";

const LEVELS = ["debug", "info", "notice", "warn", "err", "crit", "alert", "emerg"];

/** The host's refusal of a question, with any code. */
class Refusal extends PDKError {
  constructor([code, message]) {
    super(code, "", message);
  }
}

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const bytes = (text) => new Uint8Array(Buffer.from(text, "hex"));

async function answerTask({ config, node, asks, call, entities }) {
  const questions = [];
  const plugin = await testPlugin(driver, config, {
    id: node.id,
    hostname: node.hostname,
    version: node.gateway_version,
    ...(node.cluster_id !== "" && { clusterId: node.cluster_id }),
    pluginId: node.plugin_id,
    trusted: node.trusted_cidrs,
    logLevel: LEVELS[node.log_level],
    maxBody: node.max_body,
    maxShared: node.max_shared,
    telemetryLogs: node.telemetry_logs,
  });
  const script = [...(asks ?? [])];
  const exchange = plugin.exchange({
    answer: (question, args) => {
      questions.push([question, ...args.map(spell)]);
      const { value = null, error } = script.shift() ?? { error: ["host_error", "no more questions were expected"] };
      if (error !== undefined) throw new Refusal(error);
      return fromSpelling(value);
    },
  });
  const documents = Object.fromEntries(Object.entries(entities).map(([slot, document]) => [slot, bytes(document)]));
  const { outcome, bodies } = await exchange.replay(bytes(call), documents);
  const logs = exchange.result().logs.map(({ level, message }) => [LEVELS.indexOf(level), spell(message)]);
  return { outcome: hex(outcome), bulk: hex(Buffer.concat(bodies)), logs, questions };
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await answerTask(JSON.parse(line));
  } catch (thrown) {
    answer = { fault: String(thrown?.stack ?? thrown) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
