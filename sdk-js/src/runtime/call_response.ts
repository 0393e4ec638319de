import { functions as F, type PdkFunction } from "../gen/functions.js";
import type { Body, ExitBody, HeaderMap, HeaderValue, MultiMap } from "../values.js";
import { ServiceRequestCall } from "./call_service_request.js";
import { addLines, kindOf, type Line, responseName, sameName, setLines } from "./headers.js";
import { sortedJson } from "./json.js";
import { LEVEL_WARN, logText } from "./log_text.js";
import { headerMap, LineOverlay, type LinePlace } from "./overlay.js";
import { encodeText } from "./text.js";
import { Field } from "./view.js";

const SOURCES = ["service", "exit", "error"];

/** Positions in fields response and service_response; docs/wire.md section 5. */
const ResponseField = { status: 0, headers: 1, source: 2 };

const RESPONSE_LINES: LinePlace = {
  field: Field.response,
  index: ResponseField.headers,
  add: F.responseAddHeader.op,
  setLines,
  addLines,
};
const NO_VALUES: readonly string[] = Object.freeze([]);

/** Namespaces response and service.response. */
export class ResponseCall extends ServiceRequestCall {
  // response

  responseGetStatus(): number {
    this.check(F.responseGetStatus);
    return this.written.responseStatus ?? this.view.item(Field.response, ResponseField.status)?.uint() ?? 0;
  }

  responseGetHeader(name: string): string | null {
    this.check(F.responseGetHeader);
    this.textArg(F.responseGetHeader, "name", name);
    const { responseHeaders } = this.written;
    if (responseHeaders !== null) return responseHeaders.first(this.view, name);
    return this.view.header(Field.response, ResponseField.headers, name);
  }

  responseGetHeaders(maxHeaders: number): MultiMap {
    const fn = F.responseGetHeaders;
    this.check(fn);
    const limit = this.limitArg(fn, "maxHeaders", maxHeaders);
    return headerMap(
      this.written.responseHeaders?.lines(this.view) ?? this.view.lines(Field.response, ResponseField.headers),
      limit,
    );
  }

  responseGetSource(): string {
    this.check(F.responseGetSource);
    return SOURCES[this.view.item(Field.response, ResponseField.source)?.uint() ?? 0] ?? "error";
  }

  responseSetStatus(status: number): void {
    const fn = F.responseSetStatus;
    this.check(fn);
    this.statusArg(fn, status, 100);
    this.record({ kind: "status", code: fn.op, status });
    this.writes().responseStatus = status;
  }

  responseSetHeader(name: string, value: HeaderValue): void {
    const fn = F.responseSetHeader;
    this.check(fn);
    const values = this.headerArg(fn, name, value);
    this.setResponseHeader(fn, responseName(name), values);
  }

  responseAddHeader(name: string, value: HeaderValue): void {
    const fn = F.responseAddHeader;
    this.check(fn);
    const values = this.headerArg(fn, name, value);
    const written = responseName(name);
    if (values.length === 0 || this.ignored(fn, written)) return;
    this.recordHeader(this.responseLines(), fn.op, written, values);
  }

  responseClearHeader(name: string): void {
    const fn = F.responseClearHeader;
    this.check(fn);
    this.headerNameArg(fn, name);
    this.clearResponseHeader(responseName(name));
  }

  responseSetHeaders(headers: HeaderMap): void {
    const fn = F.responseSetHeaders;
    this.check(fn);
    for (const [name, values] of this.headerMapArg(fn, headers)) this.setResponseHeader(fn, responseName(name), values);
  }

  responseSetRawBody(body: Uint8Array): void {
    const fn = F.responseSetRawBody;
    this.check(fn);
    const bytes = this.bodyArg(fn, body);
    this.record({ kind: "bytes", code: fn.op, bytes });
    this.writes().responseBody = bytes;
  }

  async responseGetRawBody(): Promise<Uint8Array> {
    const fn = F.responseGetRawBody;
    this.check(fn);
    const writes = this.writes();
    writes.responseBody ??= this.bodyField(Field.responseBody);
    if (writes.responseBody === null) {
      const body = this.bytesAnswer(fn, await this.ask(fn));
      writes.responseBody ??= body; // else it was set meanwhile
    }
    return writes.responseBody.slice();
  }

  responseExit(status: number, body: ExitBody, headers: HeaderMap | null): never {
    const fn = F.responseExit;
    this.check(fn);
    this.statusArg(fn, status, 100);
    const content = this.exitBody(fn, body);
    const lines = this.exitHeaders(fn, headers);
    if (content.json && !lines.some(([name]) => sameName(name, "content-type"))) {
      lines.push(["Content-Type", "application/json; charset=utf-8"]);
    }
    this.exit({ kind: "exit", code: fn.op, status, body: content.bytes, headers: lines });
  }

  responseError(status: number, message: string | null, headers: HeaderMap | null): never {
    const fn = F.responseError;
    this.check(fn);
    this.statusArg(fn, status, 400);
    if (message !== null) this.textArg(fn, "message", message);
    const lines = this.exitHeaders(fn, headers);
    this.exit({ kind: "error", code: fn.op, status, message: message || null, headers: lines });
  }

  private responseLines(): LineOverlay {
    const writes = this.writes();
    writes.responseHeaders ??= new LineOverlay(RESPONSE_LINES);
    return writes.responseHeaders;
  }

  private setResponseHeader(fn: PdkFunction, name: string, values: readonly string[]): void {
    if (this.ignored(fn, name)) return;
    this.recordHeader(this.responseLines(), F.responseSetHeader.op, name, values);
  }

  private clearResponseHeader(name: string): void {
    const fn = F.responseClearHeader;
    this.record({ kind: "text", code: fn.op, text: name });
    this.responseLines().write({ code: fn.op, name, values: NO_VALUES });
  }

  /** Whether a header is dropped, with a warning, because framing the message is the gateway's business. */
  private ignored(fn: PdkFunction, name: string): boolean {
    if (!sameName(name, "transfer-encoding")) return false;
    if (this.host.node.logLevel <= LEVEL_WARN) {
      this.host.log(
        this.id,
        LEVEL_WARN,
        `${fn.name}: Transfer-Encoding is ignored; the gateway frames the response`,
        this.step,
      );
    }
    return true;
  }

  private exitBody(fn: PdkFunction, body: unknown): { bytes: Uint8Array | null; json: boolean } {
    if (body === null || body === undefined) return { bytes: null, json: false };
    if (body instanceof Uint8Array) return { bytes: this.bodyArg(fn, body), json: false };
    if (typeof body === "string") {
      this.textArg(fn, "body", body);
      return { bytes: this.sizedBody(fn, encodeText(body)), json: false };
    }
    if (typeof body !== "object") {
      throw this.argError(
        fn,
        `body is ${kindOf(body)}; expected null, text, bytes, or an object or array that is sent as JSON`,
      );
    }
    let text: string;
    try {
      text = sortedJson(body);
    } catch (cause) {
      throw this.argError(fn, `body has no JSON form: ${logText([cause])}`, cause);
    }
    return { bytes: this.sizedBody(fn, encodeText(text)), json: true };
  }

  /** Checks the headers of an exit and lays them out as lines. A header with an empty list is cleared before the exit. */
  private exitHeaders(fn: PdkFunction, headers: HeaderMap | null): Line[] {
    const lines: Line[] = [];
    if (headers === null || headers === undefined) return lines;
    for (const [name, values] of this.headerMapArg(fn, headers)) {
      const written = responseName(name);
      if (values.length === 0) this.clearResponseHeader(written);
      else if (!this.ignored(fn, written)) addLines(lines, written, values);
    }
    return lines;
  }

  // service.response

  serviceResponseGetStatus(): number | null {
    this.check(F.serviceResponseGetStatus);
    return this.view.item(Field.serviceResponse, ResponseField.status)?.uint() ?? null;
  }

  serviceResponseGetHeader(name: string): string | null {
    this.check(F.serviceResponseGetHeader);
    this.textArg(F.serviceResponseGetHeader, "name", name);
    return this.upstreamHeader(name);
  }

  serviceResponseGetHeaders(maxHeaders: number): MultiMap {
    const fn = F.serviceResponseGetHeaders;
    this.check(fn);
    const limit = this.limitArg(fn, "maxHeaders", maxHeaders);
    const field = this.upstreamField();
    return headerMap(field === null ? [] : this.view.lines(field, ResponseField.headers), limit);
  }

  async serviceResponseGetRawBody(): Promise<Uint8Array> {
    const fn = F.serviceResponseGetRawBody;
    this.check(fn);
    return (await this.serviceBody(fn)).slice();
  }

  async serviceResponseGetBody(mimetype: string | null, maxArgs: number): Promise<Body> {
    const fn = F.serviceResponseGetBody;
    this.check(fn);
    const mediaType = this.mediaTypeArg(fn, mimetype) ?? this.upstreamHeader("content-type");
    return this.parsedBody(fn, mediaType, maxArgs, () => this.serviceBody(fn));
  }

  private async serviceBody(fn: PdkFunction): Promise<Uint8Array> {
    const writes = this.writes();
    writes.upstreamBody ??= this.bodyField(Field.responseBody) ?? this.bytesAnswer(fn, await this.ask(fn));
    return writes.upstreamBody;
  }

  private upstreamHeader(name: string): string | null {
    const field = this.upstreamField();
    return field === null ? null : this.view.header(field, ResponseField.headers, name);
  }

  /** Field that holds the headers of the upstream's response; null when there is no response. */
  private upstreamField(): number | null {
    if (this.view.reader(Field.serviceResponse) === null) return null;
    return this.view.item(Field.serviceResponse, ResponseField.headers) === null
      ? Field.response
      : Field.serviceResponse;
  }
}
