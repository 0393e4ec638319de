import { PDKError } from "../errors.js";
import { functions } from "../gen/functions.js";
import type { CallFacts } from "./encode_call.js";
import { encodeCall } from "./encode_call.js";
import type { Instances } from "./instances.js";
import { type Carrier, Lane } from "./lane.js";
import { decodeValue } from "./msgpack_read.js";
import type { HostHello } from "./node.js";
import type { Answer, Outcome } from "./ops.js";
import { CallView } from "./view.js";

/** The gateway as the calls of a test see it. */
export interface TestHost {
  /** Answers a question, named by its function. What it throws refuses it. */
  answer(question: string, args: readonly unknown[]): unknown;
  log(level: number, message: string): void;
}

/** Names of the questions by their number; of two functions that put the same one, the first. */
const QUESTIONS = new Map(
  Object.values(functions)
    .filter(({ ask }) => ask !== 0)
    .reverse()
    .map(({ ask, name }) => [ask as number, name]),
);

/** Runs handlers on calls in memory, with the engine of the plugin server. */
export class TestCalls {
  readonly #lane: Lane;
  readonly #host: TestHost;
  readonly #settled = new Map<number, (outcome: Outcome) => void>();
  #calls = 0;

  constructor(instances: Instances, hello: HostHello, host: TestHost) {
    this.#host = host;
    this.#lane = new Lane(instances, this.#carrier());
    this.#lane.hello(hello);
  }

  /** Fills a slot that calls name. @param document - a MessagePack map. */
  entity(slot: number, document: Uint8Array): void {
    this.#lane.entity(slot, document);
  }

  run(facts: CallFacts): Promise<Outcome> {
    return this.replay(encodeCall(facts));
  }

  /** Runs a handler on the body of a call frame. */
  replay(body: Buffer): Promise<Outcome> {
    const id = ++this.#calls;
    return new Promise((resolve) => {
      this.#settled.set(id, resolve);
      this.#lane.call(id, new CallView(body, 0, body.length));
    });
  }

  /** What the plugin says comes back here. */
  #carrier(): Carrier {
    return {
      outcome: (callId, _step, outcome) => {
        this.#settled.get(callId)?.(outcome);
        this.#settled.delete(callId);
        return true;
      },
      log: (_callId, _step, level, message) => this.#host.log(level, message),
      ask: (callId, step, fn, args) =>
        void this.#answer(callId, step, QUESTIONS.get(fn) ?? `question ${fn}`, args.map(decodeValue)),
      close: (code, message) => {
        throw new Error(`the engine refused its own frame: ${code}: ${message}`);
      },
    };
  }

  async #answer(callId: number, step: number, question: string, args: readonly unknown[]): Promise<void> {
    let answer: Answer;
    try {
      answer = { error: null, value: (await this.#host.answer(question, args)) ?? null };
    } catch (thrown) {
      answer = { error: { ...refusalOf(thrown), detail: "" }, value: null };
    }
    this.#lane.answer(callId, step, answer);
  }
}

/** What was thrown, as the host says it: an error of the PDK without the code and the function that stand in front of its message. */
function refusalOf(thrown: unknown): { code: string; message: string } {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (!(thrown instanceof PDKError)) return { code: "host_error", message };
  const prefix = thrown.function === "" ? `${thrown.code}: ` : `${thrown.code}: ${thrown.function}: `;
  return { code: thrown.code, message: message.startsWith(prefix) ? message.slice(prefix.length) : message };
}
