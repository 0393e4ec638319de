import { CHUNK_SIZE } from "./frame.js";
import type { Outcome } from "./ops.js";

/** An outcome whose large bodies travel ahead of it. */
interface Job {
  readonly callId: number;
  readonly outcome: Outcome;
  readonly bodies: Uint8Array[];
  offset: number;
}

/** What carries the chunks. */
export interface BulkCarrier {
  /** Whether another chunk may be sent now. When it answers false, pump is called again later. */
  roomy(): boolean;
  sendChunk(callId: number, bytes: Uint8Array): void;
  sendOutcome(callId: number, outcome: Outcome): void;
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
  add(callId: number, outcome: Outcome, bodies: Uint8Array[]): void {
    this.#jobs.push({ callId, outcome, bodies, offset: 0 });
    this.pump();
  }

  /** Sends as much as there is room for. */
  pump(): void {
    while (this.#jobs.length > 0 && this.#carrier.roomy()) {
      if (this.#next >= this.#jobs.length) this.#next = 0;
      const job = this.#jobs[this.#next] as Job;
      if (this.#step(job)) this.#jobs.splice(this.#next, 1);
      else this.#next++;
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
    this.#carrier.sendOutcome(job.callId, job.outcome);
    return true;
  }

  /** Nobody listens any more. */
  drop(): void {
    this.#jobs = [];
  }
}
