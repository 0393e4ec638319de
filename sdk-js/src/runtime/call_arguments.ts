import { functions as F, type PdkFunction } from "../gen/functions.js";
import { CallState } from "./call_state.js";
import { HeaderFault, headerLines, kindOf, nameFault, quote } from "./headers.js";
import { encodeValue, isPlainObject, UnsupportedValue } from "./msgpack_write.js";
import type { HeaderOp } from "./ops.js";
import type { LineOverlay } from "./overlay.js";
import { limitOf } from "./target.js";
import { decodeText, encodeText, isEncodable } from "./text.js";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Checks of the arguments of PDK functions, made when the function is called. Each throws ArgError. */
export class CallArguments extends CallState {
  protected textArg(fn: PdkFunction, what: string, value: unknown): void {
    if (typeof value !== "string") throw this.argError(fn, `${what} is ${kindOf(value)}; expected text`);
    if (!isEncodable(value)) throw this.argError(fn, `${what} has a lone surrogate`);
  }

  protected limitArg(fn: PdkFunction, what: string, value: unknown): number {
    const limit = limitOf(what, value);
    if (typeof limit === "string") throw this.argError(fn, limit);
    return limit;
  }

  protected booleanArg(fn: PdkFunction, what: string, value: unknown): void {
    if (typeof value !== "boolean") throw this.argError(fn, `${what} is ${kindOf(value)}; expected a boolean`);
  }

  protected integerArg(fn: PdkFunction, what: string, value: unknown, lowest: number, highest: number): void {
    if (typeof value === "number" && Number.isInteger(value) && value >= lowest && value <= highest) return;
    const found = typeof value === "number" ? value : kindOf(value);
    throw this.argError(fn, `${what} is ${found}; expected an integer from ${lowest} to ${highest}`);
  }

  /** A text that is not empty. */
  protected nameArg(fn: PdkFunction, what: string, value: unknown): void {
    this.textArg(fn, what, value);
    if (value === "") throw this.argError(fn, `${what} is empty`);
  }

  /** A plain object. */
  protected mapArg(fn: PdkFunction, what: string, value: unknown): void {
    if (!isPlainObject(value)) throw this.argError(fn, `${what} is ${kindOf(value)}; expected an object`);
  }

  /** A media type, or what stands for a missing one. */
  protected mediaTypeArg(fn: PdkFunction, value: unknown): string | null {
    if (value === null || value === undefined || value === "") return null;
    this.textArg(fn, "mimetype", value);
    return value as string;
  }

  protected uuidArg(fn: PdkFunction, what: string, value: unknown, otherwise = ""): void {
    this.textArg(fn, what, value);
    if (!UUID.test(value as string)) {
      throw this.argError(fn, `${what} ${quote(value as string)} is not a UUID${otherwise}`);
    }
  }

  protected statusArg(fn: PdkFunction, status: unknown, lowest: number): void {
    this.integerArg(fn, "status", status, lowest, 599);
  }

  protected headerNameArg(fn: PdkFunction, name: unknown): void {
    const fault = nameFault(name);
    if (fault !== null) throw this.argError(fn, fault);
  }

  /** The lines that a header is set to. */
  protected headerArg(fn: PdkFunction, name: string, value: unknown): readonly string[] {
    this.headerNameArg(fn, name);
    try {
      return headerLines(name, value);
    } catch (cause) {
      if (cause instanceof HeaderFault) throw this.argError(fn, cause.message);
      throw cause;
    }
  }

  /** Names with their lines, in order of name; all are checked before the first is given out. */
  protected headerMapArg(fn: PdkFunction, headers: unknown): [string, readonly string[]][] {
    if (!isPlainObject(headers))
      throw this.argError(fn, `headers is ${kindOf(headers)}; expected an object of names and values`);
    return Object.keys(headers)
      .sort()
      .map((name) => [name, this.headerArg(fn, name, headers[name])]);
  }

  /** A copy of a body, within max_body. */
  protected bodyArg(fn: PdkFunction, body: unknown): Uint8Array {
    if (!(body instanceof Uint8Array))
      throw this.argError(fn, `body is ${kindOf(body)}; expected bytes (a Uint8Array)`);
    return this.sizedBody(fn, new Uint8Array(body));
  }

  /** The same bytes, if they are within max_body. */
  protected sizedBody(fn: PdkFunction, bytes: Uint8Array): Uint8Array {
    const limit = this.host.node.maxBody;
    if (limit > 0 && bytes.length > limit) {
      throw this.argError(fn, `body has ${bytes.length} bytes; at most ${limit} (max_body) are allowed`);
    }
    return bytes;
  }

  /** A copy of a body that was sent with the call. */
  protected bodyField(field: number): Uint8Array | null {
    const bytes = this.view.bytes(field);
    return bytes === null ? null : new Uint8Array(bytes);
  }

  /** Copies the argument list of a generic operation and records it. */
  protected recordArgs(fn: PdkFunction, args: readonly unknown[]): void {
    this.record({ kind: "generic", code: fn.op, args: this.valueArg(fn, "argument", args) });
  }

  /** An answer that is text, or bytes of text; null when there is none. */
  protected textAnswer(fn: PdkFunction, value: unknown): string | null {
    if (value === null || typeof value === "string") return value;
    if (value instanceof Uint8Array) return decodeText(Buffer.from(value), 0, value.length);
    throw this.hostError(fn, `the host answered ${kindOf(value)}; expected text`);
  }

  protected mapAnswer(fn: PdkFunction, value: unknown): Record<string, unknown> {
    if (isPlainObject(value)) return value;
    throw this.hostError(fn, `the host answered ${kindOf(value)}; expected a map`);
  }

  protected bytesAnswer(fn: PdkFunction, value: unknown): Uint8Array {
    if (value === null) return new Uint8Array(0);
    if (value instanceof Uint8Array) return value;
    if (typeof value === "string") return encodeText(value);
    throw this.hostError(fn, `the host answered ${kindOf(value)}; expected bytes`);
  }

  /** A free value in MessagePack, as it is now. */
  protected valueArg(fn: PdkFunction, what: string, value: unknown): Uint8Array {
    try {
      return encodeValue(value);
    } catch (cause) {
      if (cause instanceof UnsupportedValue) {
        throw this.argError(
          fn,
          `${what} holds ${cause.message}; expected null, booleans, numbers, text, bytes, arrays and plain objects`,
        );
      }
      throw cause;
    }
  }

  /** Records a write of a header, which reads see. */
  protected recordHeader(lines: LineOverlay, code: number, name: string, values: readonly string[]): void {
    const op: HeaderOp = { kind: "header", code, name, values };
    this.record(op);
    lines.write(op);
  }

  protected recordText(fn: PdkFunction, fault: string | null, text: string): void {
    if (fault !== null) throw this.argError(fn, fault);
    this.record({
      kind: fn === F.serviceRequestSetMethod || fn === F.serviceRequestSetScheme ? "text" : "bytesText",
      code: fn.op,
      text,
    });
  }
}
