/** Makes the calls of a vector on a PDK and says what came of each, in the form that the runner reads (docs/conformance.md). */
import { PDKError, Span } from "outrigger-pdk";
import { fromSpelling, spell } from "./spelling.js";

/** Makes the calls of one handler. */
export class Caller {
  #kong;
  /** Spans that the handler started, in order. */
  #spans = [];

  constructor(kong) {
    this.#kong = kong;
  }

  /** The calls of the handler, one after the other or at the same time. Beside the results there is what ended it: an exit that is to unwind it. */
  async run({ calls, together }) {
    if (!together) return this.all(calls);
    const made = await Promise.all(calls.map((call) => this.#make(call)));
    return { results: made.map(({ result }) => result), exit: undefined };
  }

  /** Makes calls one after the other. */
  async all(calls) {
    const results = [];
    for (const call of calls) {
      const { result, exit } = await this.#make(call);
      results.push(result);
      if (exit !== undefined && !call.swallow) return { results, exit };
    }
    return { results, exit: undefined };
  }

  /** Makes one call; awaiting what is there already is harmless. */
  async #make(call) {
    try {
      const [holder, name, args] = this.#place(call.fn, (call.args ?? []).map(fromSpelling));
      return { result: { result: this.#spell(await holder[name](...args)) } };
    } catch (thrown) {
      if (thrown instanceof PDKError) return { result: { error: thrown.code, function: thrown.function } };
      if (thrown instanceof Error) return { result: { fault: String(thrown.stack) } };
      return { result: { exit: true }, exit: thrown }; // an exit is no Error
    }
  }

  /** What a function such as service.request.set_header is called on, its name there, and its arguments. */
  #place(fn, args) {
    const path = fn.split(".").map((part) => part.replace(/_(.)/g, (_, c) => c.toUpperCase()));
    const name = path.pop();
    const ofSpan = path.length === 1 && path[0] === "span";
    const holder = ofSpan ? this.#spans[args[0] - 1] : path.reduce((at, part) => at?.[part], this.#kong);
    if (typeof holder?.[name] !== "function") throw new Error(`the JavaScript PDK has no function ${fn}`);
    return [holder, name, ofSpan ? args.slice(1) : args];
  }

  #spell(result) {
    if (!(result instanceof Span)) return spell(result);
    if (!this.#spans.includes(result)) this.#spans.push(result);
    const { name, attributes, status, message, finished } = result;
    return spell({ name, attributes, status, message, finished });
  }
}
