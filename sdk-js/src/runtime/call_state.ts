import { ArgError, DataError, HostError, type PDKError, PhaseError, pdkErrorOf } from "../errors.js";
import type { PdkFunction } from "../gen/functions.js";
import type { Entity } from "./entity.js";
import { CHUNK_SIZE, MAX_FRAME, WireCode } from "./frame.js";
import { cut, describeThrown, LEVEL_WARN } from "./log_text.js";
import { encodeValue } from "./msgpack_write.js";
import type { Node } from "./node.js";
import { type Answer, contentSize, DONE, failed, NO_OPS, type Op, type Outcome } from "./ops.js";
import { Prefetched } from "./prefetched.js";
import { encodeText } from "./text.js";
import { BODY_FILTER, type CallView } from "./view.js";
import { NOTHING_WRITTEN, Written } from "./written.js";

/** Names of the phases by their code on the wire. */
export const PHASES = ["", "rewrite", "access", "response", "header_filter", "body_filter", "log"] as const;

/** The other side of a call: who answers its questions and takes its log lines. */
export interface CallHost {
  readonly node: Node;
  /** Puts a question. The promise is rejected when the call ends first. */
  ask(call: CallState, fn: number, args: readonly Uint8Array[]): Promise<Answer>;
  /** @param callId - 0: it belongs to no call. */
  log(callId: number, level: number, message: string, step?: number): void;
  /** Told at once when an exit, or a failure outside of the handler, made the outcome final while the handler still runs. */
  sealed(call: CallState, outcome: Outcome): void;
}

/** What response.exit and response.error throw. No Error on purpose: `catch (e) { if (e instanceof Error) … }` lets it pass. */
class Exit {
  toString(): string {
    return "the handler ended by response.exit or response.error; let this pass";
  }
}

const EXIT = Object.freeze(new Exit());

/** Whether something thrown is the unwinding of an exit. */
export function isExit(thrown: unknown): boolean {
  return thrown === EXIT; // of anything else nothing is asked: it may throw
}

/** Calls by the errors that their PDK functions threw: an unhandled rejection finds the call that it belongs to. */
const owners = new WeakMap<object, CallState>();

export function ownerOf(thrown: unknown): CallState | undefined {
  return typeof thrown === "object" && thrown !== null ? owners.get(thrown) : undefined;
}

/** Most operations of one outcome, and most array elements that they spread over, as the host counts them. */
const MAX_OPS = 8192;
const MAX_ITEMS = 1 << 17;
const ITEMS_PER_OP = 8;

/** Most bytes in the operations of an outcome, beside bodies, so that it fits into a frame. */
const MAX_CONTENT = MAX_FRAME - (1 << 20);
/** Most bytes that a unit of a text takes. */
const MAX_UNIT = 3;

/** Most bytes of the arguments of a question: the host closes a lane that brings more. */
const MAX_ASK = (1 << 20) - 64;

type State = "open" | "exited" | "cancelled" | "failed" | "ended";

/** What has ended a call. */
const OVER: Readonly<Record<State, string>> = {
  open: "nothing",
  exited: "response.exit or response.error",
  cancelled: "the call was cancelled",
  failed: "the call failed",
  ended: "the handler ended",
};

/** Life of one handler call: what may be called when, the operations recorded so far, and the outcome. */
export class CallState {
  readonly id: number;
  /** Number of the step in its call. */
  readonly step: number;
  readonly view: CallView;
  readonly host: CallHost;
  /** Id of the plugin record whose instance runs. */
  protected readonly recordId: string;
  readonly entities: readonly (Entity | undefined)[];
  /** Bit of the phase while PDK functions may be called, else 0. */
  #bit: number;
  #state: State = "open";
  #ops: Op[] | null = null;
  #items = 0;
  /** What reads see instead of the facts. */
  protected written: Readonly<Written>;
  /** A step before this one has recorded an operation. */
  readonly #changedBefore: boolean;
  /** Answers that came with the call; null: none did. */
  readonly #prefetched: Prefetched | null;
  /** What an exit made final and could not send. */
  #unsent: Outcome | null = null;
  /** Made when the handler first asks for its signal. */
  #abort: AbortController | null = null;
  /** Resolves when the last question that was put is answered. */
  #turn: Promise<unknown> | null = null;

  /** @param before - the step before this one, on whose writes it goes on; null: it is the first. */
  constructor(
    id: number,
    view: CallView,
    host: CallHost,
    entities: readonly (Entity | undefined)[],
    recordId: string,
    before: CallState | null = null,
  ) {
    this.id = id;
    this.step = before === null ? 0 : before.step + 1;
    this.view = view;
    this.host = host;
    this.entities = entities;
    this.recordId = recordId;
    this.#bit = 1 << view.phase;
    this.written = before === null || before.written === NOTHING_WRITTEN ? NOTHING_WRITTEN : before.written.handOn();
    this.#changedBefore = before === null ? false : before.#changed;
    this.#prefetched = view.prefetches ? new Prefetched(view) : null;
  }

  /** Whether the call has recorded an operation up to now. */
  get #changed(): boolean {
    return this.#changedBefore || this.#ops !== null;
  }

  /** Whether PDK functions may still be called. */
  get open(): boolean {
    return this.#bit !== 0;
  }

  /** Aborted when nobody waits for the call any more; PDK.signal. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#bit === 0) this.#sayOver();
    }
    return this.#abort.signal;
  }

  /** The call has left the state open: no function may be called from now on. */
  #leave(state: State): void {
    this.#bit = 0;
    this.#state = state;
    if (this.#abort !== null) this.#sayOver();
  }

  #sayOver(): void {
    this.#abort?.abort(new DOMException(OVER[this.#state], "AbortError"));
  }

  /** @throws PhaseError when a function may not be called now. */
  protected check(fn: PdkFunction): void {
    if ((fn.phases & this.#bit) === 0) throw this.#refusal(fn);
  }

  #refusal(fn: PdkFunction): PDKError {
    const open = this.#state === "open";
    const message = open
      ? `called in ${PHASES[this.view.phase]}; allowed in ${phaseNames(fn.phases)}`
      : `called after ${OVER[this.#state]}`;
    return this.#own(new PhaseError(fn.name, message));
  }

  /** Remembers whose error it is. */
  #own<E extends PDKError>(error: E): E {
    owners.set(error, this);
    return error;
  }

  protected argError(fn: PdkFunction, message: string, cause?: unknown): ArgError {
    return this.#own(new ArgError(fn.name, message, cause === undefined ? undefined : { cause }));
  }

  protected dataError(fn: PdkFunction, message: string): DataError {
    return this.#own(new DataError(fn.name, message));
  }

  protected hostError(fn: PdkFunction, message: string): HostError {
    return this.#own(new HostError(fn.name, message));
  }

  /** The operations recorded so far. */
  protected get ops(): readonly Op[] {
    return this.#ops ?? NO_OPS;
  }

  /** What reads see instead of the facts, to be changed. */
  protected writes(): Written {
    if (this.written === NOTHING_WRITTEN) this.written = new Written();
    return this.written as Written;
  }

  /** Records an operation. A handler that records more than the host takes fails when it ends. */
  protected record(op: Op): void {
    this.#ops ??= [];
    this.#items += ITEMS_PER_OP;
    if (op.kind === "header") this.#items += op.values.length;
    else if (op.kind === "exit" || op.kind === "error") this.#items += 2 * op.headers.length;
    if (this.#ops.length <= MAX_OPS) this.#ops.push(op); // one too many says that there were too many
  }

  /** Whether more is recorded than the host takes. */
  get #flooded(): boolean {
    return this.#items > MAX_ITEMS || (this.#ops !== null && this.#ops.length > MAX_OPS);
  }

  /** The outcome of a handler that ended well. */
  #done(body: Uint8Array | null): Outcome {
    const unused = this.#unused();
    if (this.#ops === null) {
      return body === null && unused === 0 ? DONE : { error: null, ops: NO_OPS, body, unused };
    }
    if (this.#flooded) {
      return failed(
        WireCode.tooLarge,
        `the handler made more than ${MAX_OPS} changes, or they have more than ${MAX_ITEMS} parts`,
      );
    }
    const size = contentOf(this.#ops);
    if (size > MAX_CONTENT) {
      const message = `the changes of the handler have ${size} bytes beside bodies; at most ${MAX_CONTENT} are allowed`;
      return failed(WireCode.tooLarge, message);
    }
    return { error: null, ops: this.#ops, body, unused };
  }

  /** Bit mask of the answers that came with the call and were not asked for. */
  #unused(): number {
    return this.#prefetched === null ? 0 : this.#prefetched.unused();
  }

  /** Ends the spans that the handler has left and records them all. */
  #recordSpans(): void {
    if (this.written.trace === null) return;
    for (const op of this.written.trace.finish()) this.record(op);
  }

  /** Puts a question to the host, after the answer to the one before. Nothing that arrives after the end of the call is given out. */
  protected ask(fn: PdkFunction, ...args: readonly unknown[]): Promise<unknown> {
    const encoded = args.map(encodeValue);
    const size = encoded.reduce((sum, arg) => sum + arg.length, 0);
    if (size > MAX_ASK) throw this.argError(fn, `arguments have ${size} bytes; at most ${MAX_ASK} are allowed`);
    const put = (): Promise<Answer> => {
      this.check(fn);
      const known = this.#prefetched === null ? null : this.#prefetched.answer(fn.ask, encoded, this.#changed);
      return known === null ? this.host.ask(this, fn.ask, encoded) : Promise.resolve(known);
    };
    const answer = this.#turn === null ? put() : this.#turn.then(put);
    this.#turn = answer.then(ignore, ignore);
    return answer.then(
      ({ error, value }) => {
        this.check(fn);
        if (error === null) return value;
        // too_large is the host's word for a body over max_body.
        const code = error.code === "too_large" ? "bad_data" : error.code;
        throw this.#own(pdkErrorOf(code, fn.name, error.message));
      },
      (reason: unknown) => {
        this.check(fn);
        throw reason;
      },
    );
  }

  /** Makes the outcome final because of an exit, and unwinds the handler. */
  protected exit(op: Op): never {
    this.#recordSpans();
    this.record(op);
    this.#seal("exited", this.#done(null));
    throw EXIT;
  }

  /** What fails here, at the end of the stack for example, leaves the outcome for the end of the handler. */
  #seal(state: State, outcome: Outcome): void {
    this.#unsent = outcome;
    this.#leave(state);
    this.host.sealed(this, outcome);
    this.#unsent = null;
  }

  /** Fails a call whose handler still runs because of something outside of it; false when its outcome is final already. */
  fail(thrown: unknown): boolean {
    if (this.#bit === 0) return false;
    this.failWith(failureOf(thrown));
    return true;
  }

  failWith(outcome: Outcome): void {
    if (this.#bit !== 0) this.#seal("failed", this.#failed(outcome));
  }

  /** Nobody waits for the outcome any more. */
  cancel(): void {
    if (this.#bit !== 0) this.#leave("cancelled");
  }

  /** Ends the call because its handler returned. Answers the outcome, or null when that was final before. */
  end(returned: unknown): Outcome | null {
    if (this.#bit === 0) return this.#over();
    this.#leave("ended");
    if (this.view.phase === BODY_FILTER && returned !== undefined && returned !== null) {
      let body: Uint8Array | null;
      try {
        body = bodyOf(returned);
      } catch (thrown) {
        return this.#failed(failureOf(thrown)); // what was returned throws when it is looked at
      }
      if (body === null) {
        return failed(
          "handler_error",
          `bodyFilter returned ${typeof returned}; expected a Uint8Array, text, or null for unchanged`,
        );
      }
      this.#recordSpans();
      return this.#done(body);
    }
    this.#recordSpans();
    return this.#done(null);
  }

  /** Ends the call because its handler threw. Answers the outcome, or null when that was final before. */
  endThrown(thrown: unknown): Outcome | null {
    if (this.#bit === 0) {
      if (this.#state === "exited" && !isExit(thrown)) {
        const { message } = describeThrown(thrown);
        this.host.log(this.id, LEVEL_WARN, `the handler failed after its exit, which stands: ${message}`, this.step);
      }
      return this.#over();
    }
    this.#leave("ended");
    return this.#failed(failureOf(thrown));
  }

  /** A failed outcome that says which answers were not asked for. */
  #failed(outcome: Outcome): Outcome {
    const unused = this.#unused();
    return unused === 0 ? outcome : { ...outcome, unused };
  }

  #over(): Outcome | null {
    this.#state = "ended";
    const unsent = this.#unsent;
    this.#unsent = null;
    return unsent;
  }
}

/** Bytes in operations beside bodies; less when they are far from too many, because counting bytes takes time. */
function contentOf(ops: readonly Op[]): number {
  const units = sumOf(ops, unitsOf);
  return units > MAX_CONTENT / MAX_UNIT ? sumOf(ops, (text) => encodeText(text).length) : units;
}

function sumOf(ops: readonly Op[], lengthOf: (text: string) => number): number {
  let size = 0;
  for (const op of ops) size += contentSize(op, lengthOf);
  return size;
}

function unitsOf(text: string): number {
  return text.length;
}

function bodyOf(returned: unknown): Uint8Array | null {
  // A large one leaves in chunks, later: by then the plugin may have written other bytes into its buffer.
  if (returned instanceof Uint8Array) return returned.length > CHUNK_SIZE ? new Uint8Array(returned) : returned;
  return typeof returned === "string" ? encodeText(returned) : null;
}

function ignore(): void {}

function phaseNames(mask: number): string {
  return PHASES.filter((name, code) => name !== "" && (mask & (1 << code)) !== 0).join(", ");
}

const PDK_CODES: readonly unknown[] = ["bad_argument", "wrong_phase", "bad_data", "host_error"];

/** The failed outcome of something thrown. An error of the PDK keeps its code. */
export function failureOf(thrown: unknown): Outcome {
  const { message, detail } = describeThrown(thrown);
  const code = codeOf(thrown);
  return failed(PDK_CODES.includes(code) ? String(code) : "handler_error", cut(message), detail);
}

function codeOf(thrown: unknown): unknown {
  try {
    return thrown instanceof Error ? (thrown as Error & { code?: unknown }).code : undefined;
  } catch {
    return undefined; // a getter that throws
  }
}
