import { CHUNK_SIZE } from "./frame.js";
import type { Outcome } from "./ops.js";

/** An outcome whose large bodies travel ahead of it. */
interface Job {
  readonly callId: number;
  readonly step: number;
  readonly outcome: Outcome;
  readonly bodies: Uint8Array[];
  offset: number;
  /** What the call says next: it goes behind the outcome. */
  readonly behind: (() => void)[];
}

/** What carries the chunks. */
export interface BulkCarrier {
  /** Whether another chunk may be sent now. When it answers false, pump is called again later. */
  roomy(): boolean;
  sendChunk(callId: number, bytes: Uint8Array): void;
  sendOutcome(callId: number, step: number, outcome: Outcome): boolean;
}

/**
 * Sends large bodies chunk by chunk, in turn when there are several, and only as fast as the other side reads: frames of other
 * calls pass between the chunks.
 */
export class Bulk {
  readonly #carrier: BulkCarrier;
  #jobs: Job[] = [];
  #next = 0;

  constructor(carrier: BulkCarrier) {
    this.#carrier = carrier;
  }

  /** The bodies are kept until they are sent. */
  add(callId: number, step: number, outcome: Outcome, bodies: Uint8Array[]): void {
    this.#jobs.push({ callId, step, outcome, bodies, offset: 0, behind: [] });
    this.pump();
  }

  /** Puts what a call says behind its outcome that is on its way; false when there is none. */
  waits(callId: number, send: () => void): boolean {
    if (this.#jobs.length === 0) return false;
    const job = this.#jobs.find((one) => one.callId === callId);
    job?.behind.push(send);
    return job !== undefined;
  }

  /** Sends as much as there is room for. */
  pump(): void {
    while (this.#jobs.length > 0 && this.#carrier.roomy()) {
      if (this.#next >= this.#jobs.length) this.#next = 0;
      const job = this.#jobs[this.#next] as Job;
      if (this.#step(job)) {
        this.#jobs.splice(this.#next, 1);
        for (const send of job.behind) send();
      } else {
        this.#next++;
      }
    }
  }

  /** Sends the next chunk of a job, and its outcome behind the last one; answers whether the job is done. */
  #step(job: Job): boolean {
    const body = job.bodies[0] as Uint8Array;
    const end = Math.min(job.offset + CHUNK_SIZE, body.length);
    this.#carrier.sendChunk(job.callId, body.subarray(job.offset, end));
    job.offset = end;
    if (end < body.length) return false;
    job.bodies.shift();
    job.offset = 0;
    if (job.bodies.length > 0) return false;
    this.#carrier.sendOutcome(job.callId, job.step, job.outcome);
    return true;
  }

  /** Nobody listens any more. */
  drop(): void {
    this.#jobs = [];
  }
}
