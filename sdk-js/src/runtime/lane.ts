import { PDK } from "../gen/pdk.js";
import { Call } from "./call.js";
import { type CallHost, type CallState, failureOf } from "./call_state.js";
import { Entity } from "./entity.js";
import { ENTITY_SLOTS, VERSION, WireCode } from "./frame.js";
import type { Instance, Instances } from "./instances.js";
import { cut, isA } from "./log_text.js";
import { BadFrame, type Reader } from "./msgpack_read.js";
import { type HostHello, Node } from "./node.js";
import { type Answer, failed, type Outcome, stops } from "./ops.js";
import { Slabs } from "./slabs.js";
import { BODY_FILTER, type CallView, Field } from "./view.js";

const NO_BYTES = new Uint8Array(0);

/** Sends what a lane has to say: one implementation for each carrier. */
export interface Carrier {
  /** Answers whether it goes as it is, and not as a failure because it does not fit. */
  outcome(callId: number, step: number, outcome: Outcome): boolean;
  ask(callId: number, step: number, fn: number, args: readonly Uint8Array[]): void;
  log(callId: number, step: number, level: number, message: string): void;
  /** Says goaway and closes the lane. */
  close(code: string, message: string): void;
  /** Sends at once what it holds back, if it can: the process ends. */
  flush?(): void;
}

interface Question {
  readonly call: CallState;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (reason: unknown) => void;
}

/** Most bytes of chunks on one lane whose messages have not come yet, and what keeping a chunk costs beside its bytes. */
const MAX_AHEAD = 2 ** 30;
const CHUNK_COST = 128;

/** Bytes of one call that came ahead in chunks. */
interface Gathered {
  readonly chunks: Buffer[];
  size: number;
  /** Of all chunks, as MAX_AHEAD counts. */
  cost: number;
}

/**
 * One data-plane connection, whatever carries it: runs the calls that arrive and tells the carrier how they ended. Calls whose
 * handlers are asynchronous overlap.
 */
export class Lane implements CallHost {
  readonly #instances: Instances;
  readonly #carrier: Carrier;
  #node: Node | null = null;
  /** Calls whose handlers have not returned. */
  readonly #calls = new Map<number, Call>();
  readonly #questions = new Map<number, Question>();
  /** The largest id of a call so far. */
  #newest = 0;
  readonly #gathered = new Map<number, Gathered>();
  readonly #slabs = new Slabs();
  /** Cost of all of them. */
  #ahead = 0;
  #entities: (Entity | undefined)[] = [];

  constructor(instances: Instances, carrier: Carrier) {
    this.#instances = instances;
    this.#carrier = carrier;
  }

  get node(): Node {
    if (this.#node === null) throw new BadFrame("the first frame is not hello");
    return this.#node;
  }

  /** Whether the host has said hello. */
  get ready(): boolean {
    return this.#node !== null;
  }

  /** Whether handlers are under way: what arrives now may let them go on. */
  get busy(): boolean {
    return this.#calls.size > 0;
  }

  /** Sends what the handlers that have ended left: the process ends. */
  flush(): void {
    this.#carrier.flush?.();
  }

  hello(hello: HostHello): void {
    if (this.#node !== null) throw new BadFrame("a second hello");
    if (hello.version !== VERSION) throw new BadFrame(`protocol version ${hello.version}; expected ${VERSION}`);
    this.#node = new Node(hello);
  }

  /** Runs the steps of a call, one after the other. @throws BadFrame when it breaks the protocol. */
  call(id: number, view: CallView): void {
    if (this.#node === null || this.#calls.has(id)) this.#refuseCall(id);
    if (id > this.#newest) this.#newest = id;
    const steps = view.steps;
    const call = this.#step(id, view, this.#entities, null);
    if (steps > 1 && call !== null) this.#goOn(view, steps, call);
  }

  /** Runs the steps behind one, as long as none waits. */
  #goOn(view: CallView, steps: number, done: Call): void {
    let before: Call | null = done;
    while (before !== null && before.step + 1 < steps) {
      before = this.#step(before.id, view.step(before.step + 1), before.entities, before, view, steps);
    }
  }

  /**
   * Runs one step.
   *
   * @param before - the step before it; null: it is the first.
   * @param whole - the view of the call, if it has several steps.
   * @returns the call when it has ended and the next step may run; null when it waits, and goes on by itself, or there is no next one.
   */
  #step(
    id: number,
    view: CallView,
    entities: readonly (Entity | undefined)[],
    before: Call | null,
    whole: CallView = view,
    steps: number = whole.steps,
  ): Call | null {
    const instance = this.#instances.get(view.instance);
    const handler = instance?.handlers[view.phase];
    if (instance === undefined || handler === undefined) {
      this.#carrier.outcome(id, before === null ? 0 : before.step + 1, noHandler(view, instance));
      return null;
    }
    const call = new Call(id, view, this, entities, instance.recordId, before);
    let returned: unknown;
    let waits: boolean;
    try {
      returned =
        view.phase === BODY_FILTER ? filter(instance, handler, call) : handler.call(instance.object, new PDK(call));
      waits = isThenable(returned); // which may throw, too
    } catch (thrown) {
      this.#end(call, call.endThrown(thrown), thrown);
      return null;
    }
    if (!waits) return this.#finish(call, call.end(returned), steps);
    call.view.keep();
    whole.keep();
    this.#calls.set(id, call);
    this.#instances.enter(instance);
    void this.#wait(call, instance, returned, whole, steps);
    return null;
  }

  #refuseCall(id: number): never {
    throw new BadFrame(this.#node === null ? "the first frame is not hello" : `call ${id} is in flight already`);
  }

  /** Waits for a handler, ends its step and runs those behind it. Never rejects. */
  async #wait(call: Call, instance: Instance, returned: unknown, whole: CallView, steps: number): Promise<void> {
    let value: unknown;
    let thrown: unknown;
    let failed = false;
    try {
      value = await returned; // a thenable may settle twice or throw, and so may a promise with a then of its own: await takes it once
    } catch (reason) {
      failed = true;
      thrown = reason;
    }
    try {
      const outcome = failed ? call.endThrown(thrown) : call.end(value);
      // After an exit or a cancel the host may have given the id to another call.
      if (this.#calls.get(call.id) === call) this.#calls.delete(call.id);
      const done = this.#finish(call, outcome, steps, thrown);
      if (done !== null) this.#goOn(whole, steps, done);
    } catch (bad) {
      this.#closeFor(bad);
    }
    this.#instances.leave(instance); // last: no moment between two steps is idle
  }

  #closeFor(thrown: unknown): void {
    const { code, message } = closing(thrown);
    this.#carrier.close(code, message);
  }

  /** Ends a step. Answers the call when its next step may run now. */
  #finish(call: Call, outcome: Outcome | null, steps: number, thrown?: unknown): Call | null {
    if (call.step + 1 >= steps || outcome === null || stops(outcome)) {
      this.#end(call, outcome, thrown);
      return null;
    }
    return this.#end(call, outcome) ? call : null;
  }

  /** Sends the outcome of a handler that has returned; null when it was sent before, or nobody waits for it. Answers whether it was sent as it is. */
  #end(call: Call, outcome: Outcome | null, thrown?: unknown): boolean {
    if (outcome === null) return false;
    if (this.#questions.size > 0) this.#abandon(call.id);
    const sent = this.#outcome(call, outcome);
    if (isA(thrown, BadFrame)) this.#carrier.close(WireCode.badFrame, `call ${call.id}: ${thrown.message}`);
    return sent;
  }

  /** Sends an outcome, or a failure in place of one that throws when it is written. */
  #outcome(call: Call, outcome: Outcome): boolean {
    try {
      return this.#carrier.outcome(call.id, call.step, outcome);
    } catch (thrown) {
      this.#carrier.outcome(call.id, call.step, failureOf(thrown));
      return false;
    }
  }

  /** An exit, or a failure outside of the handler: the outcome leaves while the handler still runs. */
  sealed(call: CallState, outcome: Outcome): void {
    if (this.#calls.get(call.id) === call) this.#calls.delete(call.id);
    if (this.#questions.size > 0) this.#abandon(call.id);
    this.#carrier.outcome(call.id, call.step, outcome);
  }

  cancel(id: number): void {
    this.#takeGathered(id);
    const call = this.#calls.get(id);
    if (call === undefined) return;
    this.#calls.delete(id);
    call.cancel();
    this.#abandon(id);
  }

  /** Lets go of the question that a call has on its way; its answer may still come, or the host has forgotten it with its step. */
  #abandon(id: number): void {
    const question = this.#questions.get(id);
    if (question === undefined) return;
    this.#questions.delete(id);
    question.reject(new Error("the step ended before the answer came"));
  }

  ask(call: CallState, fn: number, args: readonly Uint8Array[]): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#questions.set(call.id, { call, resolve, reject });
      this.#carrier.ask(call.id, call.step, fn, args);
    });
  }

  /** Hands an answer to the question that waits for it. One that comes too late, of a step that has ended for example, is dropped. */
  answer(id: number, step: number, answer: Answer): void {
    const question = this.#questions.get(id);
    if (question?.call.step !== step) {
      if (id > this.#newest) throw new BadFrame(`an answer for call ${id}, which never existed`);
      return;
    }
    this.#questions.delete(id);
    question.resolve(answer);
  }

  log(callId: number, level: number, message: string, step = 0): void {
    this.#carrier.log(callId, step, level, message);
  }

  /** Keeps a copy of a piece of the next message of that call. */
  chunk(id: number, bytes: Buffer): void {
    const gathered = this.#gathered.get(id) ?? { chunks: [], size: 0, cost: 0 };
    this.#gathered.set(id, gathered);
    gathered.size += bytes.length;
    gathered.cost += bytes.length + CHUNK_COST;
    this.#ahead += bytes.length + CHUNK_COST;
    if (this.#ahead > MAX_AHEAD) {
      throw new BadFrame(
        `chunks of ${this.#ahead} bytes without their messages; at most ${MAX_AHEAD} are kept for a lane`,
      );
    }
    if (this.#tooLarge(gathered)) gathered.chunks.length = 0;
    else if (bytes.length > 0) gathered.chunks.push(this.#slabs.copy(bytes)); // those without a byte count for nothing
  }

  #tooLarge(gathered: Gathered): boolean {
    const limit = this.node.maxBody;
    return limit > 0 && gathered.size > limit;
  }

  /**
   * The bytes that came ahead of a message of that call; null when none did. "dropped" when they were more than max_body: the call
   * has been failed then, and the message is to be passed over.
   */
  gathered(id: number, isCall: boolean, step = 0): Buffer | null | "dropped" {
    const gathered = this.#takeGathered(id);
    if (gathered === undefined) return null;
    if (!this.#tooLarge(gathered)) return this.#slabs.join(gathered.chunks, gathered.size);
    const message = `${gathered.size} bytes came in chunks; at most ${this.node.maxBody} (max_body) are allowed`;
    const outcome = failed(WireCode.tooLarge, message);
    if (isCall) {
      this.#carrier.outcome(id, 0, outcome);
    } else {
      const question = this.#questions.get(id);
      if (question?.call.step === step) question.call.failWith(outcome);
    }
    return "dropped";
  }

  #takeGathered(id: number): Gathered | undefined {
    if (this.#gathered.size === 0) return undefined;
    const gathered = this.#gathered.get(id);
    if (gathered === undefined) return undefined;
    this.#gathered.delete(id);
    this.#ahead -= gathered.cost;
    return gathered;
  }

  entity(slot: number, document: Uint8Array): void {
    if (slot >= ENTITY_SLOTS) throw new BadFrame(`entity slot ${slot}; at most ${ENTITY_SLOTS - 1}`);
    const head = document[0] ?? 0;
    if (!((head >= 0x80 && head < 0x90) || head === 0xde || head === 0xdf))
      throw new BadFrame("the document of an entity is no map");
    // Calls under way keep the slots as they were when they arrived.
    if (this.busy && this.#entities[slot] !== undefined) this.#entities = [...this.#entities];
    this.#entities[slot] = new Entity(new Uint8Array(document));
  }

  /** The connection is gone: nobody waits for the calls any more. */
  gone(): void {
    for (const [id, call] of [...this.#calls]) {
      this.#calls.delete(id);
      call.cancel();
      this.#abandon(id);
    }
    this.#gathered.clear();
    this.#ahead = 0;
  }
}

function filter(instance: Instance, handler: NonNullable<Instance["handlers"][number]>, call: Call): unknown {
  const chunk = call.view.bytes(Field.chunk);
  const last = call.view.reader(Field.last)?.bool() ?? false;
  // A copy: the plugin may keep it, the lane writes over its own.
  return handler.call(instance.object, new PDK(call), chunk === null ? NO_BYTES : new Uint8Array(chunk), last);
}

function noHandler(view: CallView, instance: Instance | undefined): Outcome {
  if (instance === undefined)
    return failed(WireCode.unknownInstance, `instance ${view.instance} is not configured here`);
  return failed(WireCode.wrongPhase, `plugin ${instance.plugin.name} does not handle phase ${view.phase}`);
}

function isThenable(value: unknown): boolean {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** Reads the body of an answer: [error or nil, value]. */
export function readAnswer(reader: Reader): Answer {
  const count = reader.array();
  let error: Answer["error"] = null;
  if (count > 0 && !reader.nil()) {
    const fields = reader.array();
    const code = fields > 0 ? reader.text() : "";
    error = { code, message: fields > 1 ? reader.text() : "", detail: "" };
    for (let i = 2; i < fields; i++) reader.skip();
  }
  const value = count > 1 ? reader.value() : null;
  reader.finish(count - 2);
  return { error, value };
}

/** Reads the body of the host's hello. */
export function readHello(reader: Reader): HostHello {
  const count = reader.array();
  const at = <T>(index: number, read: () => T, missing: T): T => (index < count ? read() : missing);
  const hello: HostHello = {
    version: at(0, () => reader.uint(), 0),
    nodeId: at(1, () => reader.text(), ""),
    hostname: at(2, () => reader.text(), ""),
    gatewayVersion: at(3, () => reader.text(), ""),
    trustedCidrs: at(4, () => Array.from({ length: reader.array() }, () => reader.text()), []),
    logLevel: at(5, () => reader.uint(), 0),
    maxBody: at(6, () => reader.uint(), 0),
    maxShared: at(7, () => reader.uint(), 0),
    clusterId: at(8, () => reader.text(), ""),
    telemetryLogs: at(9, () => reader.bool(), false),
  };
  reader.finish(count - 10); // what the host can do beyond version 1 (features) is nothing that a server needs to know
  return hello;
}

/** What a lane says when it closes because of something thrown while it read. */
export function closing(thrown: unknown): { code: string; message: string } {
  if (isA(thrown, BadFrame)) return { code: WireCode.badFrame, message: cut(thrown.message) };
  const { error } = failureOf(thrown);
  return { code: WireCode.badFrame, message: `reading a frame failed: ${error?.message ?? ""}` };
}
