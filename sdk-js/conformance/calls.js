/** Makes the calls of a vector on a PDK and says what came of each, in the form that the runner reads (docs/conformance.md). */
import { PDKError } from "outrigger-pdk";
import { fromSpelling, spell } from "./spelling.js";

/** Makes calls one after the other. Beside the results there is what ended the handler: an exit that is to unwind it. */
export async function makeAll(kong, calls) {
  const results = [];
  for (const call of calls) {
    const { result, exit } = await make(kong, call);
    results.push(result);
    if (exit !== undefined && !call.swallow) return { results, exit };
  }
  return { results, exit: undefined };
}

/** Makes calls at the same time. */
export async function makeTogether(kong, calls) {
  const made = await Promise.all(calls.map((call) => make(kong, call)));
  return { results: made.map(({ result }) => result), exit: undefined };
}

/** Makes one call; awaiting what is there already is harmless. */
async function make(kong, call) {
  try {
    const [holder, name] = place(kong, call.fn);
    return { result: { result: spell(await holder[name](...(call.args ?? []).map(fromSpelling))) } };
  } catch (thrown) {
    if (thrown instanceof PDKError) return { result: { error: thrown.code, function: thrown.function } };
    if (thrown instanceof Error) return { result: { fault: String(thrown.stack) } };
    return { result: { exit: true }, exit: thrown }; // an exit is no Error
  }
}

/** The namespace of a function such as service.request.set_header, and its name there. */
function place(kong, fn) {
  const path = fn.split(".").map((part) => part.replace(/_(.)/g, (_, c) => c.toUpperCase()));
  const name = path.pop();
  const holder = path.reduce((at, part) => at?.[part], kong);
  if (typeof holder?.[name] !== "function") throw new Error(`the JavaScript PDK has no function ${fn}`);
  return [holder, name];
}
