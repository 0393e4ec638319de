export type SpanStatus = "unset" | "ok" | "error";

/** Something that happened at a time within a span. */
export interface SpanEvent {
  readonly name: string;
  /** Microseconds since the epoch. */
  readonly time: number;
  readonly attributes: Readonly<Record<string, unknown>>;
}

const now = (): number => Math.round((performance.timeOrigin + performance.now()) * 1000);

/**
 * One piece of a handler's work, for tracing; `kong.tracing.startSpan` makes it. A finished span ignores what is done to it. Times
 * are microseconds since the epoch.
 */
export class Span {
  readonly name: string;
  readonly start: number;
  #end = 0;
  readonly #attributes: Map<string, unknown>;
  readonly #events: SpanEvent[] = [];
  #status: SpanStatus = "unset";
  #message = "";

  constructor(name: string, attributes: Readonly<Record<string, unknown>> | null = null) {
    this.name = name;
    this.start = now();
    this.#attributes = new Map(Object.entries(attributes ?? {}));
  }

  /** When it was finished; 0 while it is not. */
  get end(): number {
    return this.#end;
  }

  get finished(): boolean {
    return this.#end !== 0;
  }

  get attributes(): Record<string, unknown> {
    return Object.fromEntries(this.#attributes);
  }

  get events(): readonly SpanEvent[] {
    return this.#events;
  }

  get status(): SpanStatus {
    return this.#status;
  }

  /** Of the status; may be empty. */
  get message(): string {
    return this.#message;
  }

  /** Sets one attribute. Values are those of `ctx.shared`; another one is kept as text. */
  setAttribute(key: string, value: unknown): void {
    if (!this.finished) this.#attributes.set(key, value);
  }

  /** Records that something happened now. */
  addEvent(name: string, attributes: Readonly<Record<string, unknown>> = {}): void {
    if (!this.finished) this.#events.push({ name, time: now(), attributes: { ...attributes } });
  }

  /** Adds the event exception with the attribute exception.message and sets the status to error. */
  recordError(error: unknown): void {
    const message = error instanceof Error ? error.message : String(error);
    this.addEvent("exception", { "exception.message": message });
    this.setStatus("error", message);
  }

  /** Sets the status; a text that is no status counts as unset. */
  setStatus(status: SpanStatus, message = ""): void {
    if (this.finished) return;
    this.#status = status === "ok" || status === "error" ? status : "unset";
    this.#message = message;
  }

  /** Ends the span now. */
  finish(): void {
    if (!this.finished) this.#end = Math.max(this.start, now());
  }
}
