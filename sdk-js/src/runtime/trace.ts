import { Span } from "../span.js";
import { logText } from "./log_text.js";
import { encodeValue, Writer } from "./msgpack_write.js";
import type { Op } from "./ops.js";
import { isEncodable } from "./text.js";

/** Number of the operation that reports a span; docs/wire.md section 6. */
const OP_SPAN = 90;

/** Bounds the spans of a handler; as many are in a log entry. */
export const MAX_SPANS = 1024;
/** The log line for the first span beyond them. */
export const TOO_MANY_SPANS = `tracing.start_span: the handler has started ${MAX_SPANS} spans; further ones record nothing`;

/** The spans that one handler has started, in order. */
export class Trace {
  /** The log says that there are too many. */
  refused = false;
  readonly #spans: { readonly span: Span; readonly parent: number }[] = [];

  /** Starts a child of the innermost unfinished span; null when there are too many. */
  start(name: string, attributes: Readonly<Record<string, unknown>> | null): Span | null {
    if (this.#spans.length === MAX_SPANS) return null;
    const span = new Span(name, attributes);
    this.#spans.push({ span, parent: this.#innermost() + 1 });
    return span;
  }

  /** The last started span that is not finished; null when there is none. */
  active(): Span | null {
    return this.#spans[this.#innermost()]?.span ?? null;
  }

  /** Place of the innermost unfinished span; -1 when there is none. */
  #innermost(): number {
    return this.#spans.findLastIndex(({ span }) => !span.finished);
  }

  /** Ends what is not finished. Answers an operation for each span, in order of start. */
  finish(): Op[] {
    return this.#spans.map(({ span, parent }, i) => {
      span.finish();
      const record = {
        id: i + 1,
        parent,
        name: span.name,
        start: span.start,
        end: span.end,
        attributes: span.attributes,
        events: span.events.map(({ name, time, attributes }) => [name, time, attributes]),
        status: span.status,
        message: span.message,
      };
      return { kind: "generic", code: OP_SPAN, args: encodeSpan(record) };
    });
  }
}

type SpanRecord = Readonly<Record<string, unknown>> & {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly events: readonly (readonly unknown[])[];
};

/** The argument list of a span's operation. Attributes without a form on the wire become text. */
function encodeSpan(record: SpanRecord): Uint8Array {
  const events = record.events.map(([name, time, attributes]) => [
    text(name),
    time,
    encodable(attributes as Readonly<Record<string, unknown>>),
  ]);
  return encodeValue([
    {
      ...record,
      name: text(record.name),
      message: text(record.message),
      attributes: encodable(record.attributes),
      events,
    },
  ]);
}

function encodable(attributes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(attributes)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => [text(key), hasForm(value) ? value : text(logText([value]))]),
  );
}

/** How deep the attributes of an event lie in the argument list. */
const ATTRIBUTE_DEPTH = 5;

function hasForm(value: unknown): boolean {
  try {
    new Writer(256).value(value, ATTRIBUTE_DEPTH);
    return true;
  } catch {
    return false;
  }
}

/** Text that can travel: what stands for nothing becomes U+FFFD. */
function text(value: unknown): string {
  const given = String(value);
  return isEncodable(given) ? given : given.toWellFormed();
}
