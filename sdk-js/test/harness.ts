import type { PDK } from "../src/gen/pdk.js";
import { definePlugin, type Handlers } from "../src/plugin.js";
import { encodeCall } from "../src/runtime/encode_call.js";
import { Instances } from "../src/runtime/instances.js";
import { type Carrier, Lane } from "../src/runtime/lane.js";
import { decodeValue } from "../src/runtime/msgpack_read.js";
import type { HostHello } from "../src/runtime/node.js";
import type { Answer, Op, Outcome } from "../src/runtime/ops.js";
import { CallView } from "../src/runtime/view.js";
import { facts, type LogLine, laterStep, type PartialFacts } from "./host_driver.js";

/** What became of one call. */
export interface Ran {
  readonly outcome: Outcome;
  readonly ops: readonly Op[];
  readonly logs: readonly LogLine[];
  readonly asks: readonly [fn: number, ...args: unknown[]][];
}

export interface RunOptions {
  readonly hello?: Partial<HostHello>;
  readonly recordId?: string;
  readonly entities?: readonly (readonly [slot: number, document: Uint8Array])[];
  readonly answer?: (fn: number, args: unknown[]) => Partial<Answer>;
}

export const HELLO: HostHello = {
  version: 1,
  nodeId: "6f8b0c5e-0000-4000-8000-000000000001",
  hostname: "gw",
  gatewayVersion: "0.1.0",
  trustedCidrs: [],
  logLevel: 0,
  maxBody: 1 << 20,
  maxShared: 1 << 10,
  clusterId: null,
  telemetryLogs: true,
};

/** Id of the plugin record whose instance runs. */
export const RECORD_ID = "7a1f0000-0000-4000-8000-000000000001";

export type HandlerFn = (kong: PDK, chunk: Uint8Array, last: boolean) => unknown;

/** A class that handles every phase with one function. */
export function everyPhase(handler: HandlerFn): new () => Handlers {
  class EveryPhase {
    rewrite(kong: PDK): unknown {
      return this.run(kong, new Uint8Array(0), false);
    }
    access(kong: PDK): unknown {
      return this.run(kong, new Uint8Array(0), false);
    }
    response(kong: PDK): unknown {
      return this.run(kong, new Uint8Array(0), false);
    }
    headerFilter(kong: PDK): unknown {
      return this.run(kong, new Uint8Array(0), false);
    }
    bodyFilter(kong: PDK, chunk: Uint8Array, last: boolean): unknown {
      return this.run(kong, chunk, last);
    }
    log(kong: PDK): unknown {
      return this.run(kong, new Uint8Array(0), false);
    }
    run(kong: PDK, chunk: Uint8Array, last: boolean): unknown {
      return handler(kong, chunk, last);
    }
  }
  return EveryPhase as unknown as new () => Handlers;
}

export async function instancesOf(handler: HandlerFn, recordId = RECORD_ID): Promise<Instances> {
  const plugin = definePlugin({ name: "under-test", version: "1", instance: everyPhase(handler) });
  const instances = new Instances([plugin], (message) => {
    throw new Error(message);
  });
  await instances.configure(1, "under-test", Buffer.from("{}"), recordId);
  return instances;
}

/** Runs one handler for one call, without a connection. */
export async function run(handler: HandlerFn, over: PartialFacts = {}, options: RunOptions = {}): Promise<Ran> {
  const instances = await instancesOf(handler, options.recordId);
  const logs: LogLine[] = [];
  const asks: [number, ...unknown[]][] = [];
  const body = encodeCall(facts(over));
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    const carrier: Carrier = {
      outcome: (_id, _step, o) => {
        resolve(o);
        return true;
      },
      log: (call, step, level, message) => logs.push({ call, level, message, ...laterStep(step) }),
      ask: (id, step, fn, args) => {
        const plain = args.map(decodeValue);
        asks.push([fn, ...plain]);
        setImmediate(() => lane.answer(id, step, { error: null, value: null, ...options.answer?.(fn, plain) }));
      },
      close: (code, message) => reject(new Error(`${code}: ${message}`)),
    };
    const lane = new Lane(instances, carrier);
    lane.hello({ ...HELLO, ...options.hello });
    for (const [slot, document] of options.entities ?? []) lane.entity(slot, document);
    lane.call(7, new CallView(body, 0, body.length));
  });
  return { outcome, ops: outcome.ops, logs, asks };
}

/** What a handler reads from a call. @throws the error of the outcome */
export async function read<T>(
  handler: (kong: PDK) => T | Promise<T>,
  over: PartialFacts = {},
  options: RunOptions = {},
): Promise<T> {
  let result: T | undefined;
  const { outcome } = await run(
    async (kong) => {
      result = await handler(kong);
    },
    over,
    options,
  );
  if (outcome.error !== null) throw Object.assign(new Error(outcome.error.message), { code: outcome.error.code });
  return result as T;
}
