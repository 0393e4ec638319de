import { functions as F, type PdkFunction } from "../gen/functions.js";
import {
  type Captures,
  type HeaderMap,
  type HeaderValue,
  type MultiMap,
  Query,
  type QueryMap,
  type QueryValue,
} from "../values.js";
import { CallArguments } from "./call_arguments.js";
import { addRequestLines, setLines, setRequestLines } from "./headers.js";
import { firstValue, headerMap, LineOverlay } from "./overlay.js";
import {
  DEFAULT_LIMIT,
  encodeQuery,
  escapePath,
  methodFault,
  pathFault,
  QueryFault,
  queryArgs,
  rawQueryFault,
  schemeFault,
} from "./target.js";
import { Field, RequestField } from "./view.js";

/** Positions in field forwarded; docs/wire.md section 5. */
const ForwardedField = { scheme: 0, host: 1, port: 2, path: 3, prefix: 4 };

/** Namespaces request and service.request. */
export class RequestCall extends CallArguments {
  // What reads see instead of the facts, once the handler has written.
  #headers: LineOverlay | null = null;
  #method: string | null = null;
  #rawQuery: string | null = null;
  #body: Uint8Array | null = null;

  // request

  requestGetScheme(): string {
    this.check(F.requestGetScheme);
    return this.#requestText(RequestField.scheme);
  }

  requestGetHost(): string {
    this.check(F.requestGetHost);
    return this.#requestText(RequestField.host);
  }

  requestGetPort(): number {
    this.check(F.requestGetPort);
    return this.#requestPort();
  }

  requestGetForwardedScheme(): string {
    this.check(F.requestGetForwardedScheme);
    return this.view.item(Field.forwarded, ForwardedField.scheme)?.text() ?? this.#requestText(RequestField.scheme);
  }

  requestGetForwardedHost(): string {
    this.check(F.requestGetForwardedHost);
    return this.view.item(Field.forwarded, ForwardedField.host)?.text() ?? this.#requestText(RequestField.host);
  }

  requestGetForwardedPort(): number {
    this.check(F.requestGetForwardedPort);
    return this.view.item(Field.forwarded, ForwardedField.port)?.uint() ?? this.#requestPort();
  }

  requestGetForwardedPath(): string {
    this.check(F.requestGetForwardedPath);
    return this.view.item(Field.forwarded, ForwardedField.path)?.text() ?? this.#path();
  }

  requestGetForwardedPrefix(): string | null {
    this.check(F.requestGetForwardedPrefix);
    return this.view.item(Field.forwarded, ForwardedField.prefix)?.text() ?? null;
  }

  requestGetHttpVersion(): number {
    this.check(F.requestGetHttpVersion);
    return (this.view.item(Field.request, RequestField.httpVersion)?.uint() ?? 0) / 10;
  }

  requestGetMethod(): string {
    this.check(F.requestGetMethod);
    return this.#method ?? this.#requestText(RequestField.method);
  }

  requestGetPath(): string {
    this.check(F.requestGetPath);
    return this.#path();
  }

  requestGetRawPath(): string {
    this.check(F.requestGetRawPath);
    return this.#rawPath();
  }

  requestGetPathWithQuery(): string {
    this.check(F.requestGetPathWithQuery);
    return this.#requestText(RequestField.target);
  }

  requestGetRawQuery(): string {
    this.check(F.requestGetRawQuery);
    return this.#query();
  }

  requestGetQueryArg(name: string): QueryValue | null {
    const fn = F.requestGetQueryArg;
    this.check(fn);
    this.textArg(fn, "name", name);
    let left = DEFAULT_LIMIT;
    for (const [found, value] of queryArgs(this.#query())) {
      if (left-- === 0) break;
      if (found === name) return value;
    }
    return null;
  }

  requestGetQuery(maxArgs: number): Query {
    const fn = F.requestGetQuery;
    this.check(fn);
    const limit = this.limitArg(fn, "maxArgs", maxArgs);
    const args: [string, QueryValue][] = [];
    for (const arg of queryArgs(this.#query())) {
      if (args.length === limit) return new Query(args, true);
      args.push(arg);
    }
    return new Query(args);
  }

  requestGetHeader(name: string): string | null {
    this.check(F.requestGetHeader);
    if (typeof name !== "string") this.textArg(F.requestGetHeader, "name", name);
    if (this.#headers !== null) return firstValue(this.#headers.lines(), name);
    return this.view.header(Field.request, RequestField.headers, name);
  }

  requestGetHeaders(maxHeaders: number): MultiMap {
    const fn = F.requestGetHeaders;
    this.check(fn);
    const limit = this.limitArg(fn, "maxHeaders", maxHeaders);
    return headerMap(this.#headers?.lines() ?? this.view.lines(Field.request, RequestField.headers), limit);
  }

  async requestGetRawBody(): Promise<Uint8Array> {
    const fn = F.requestGetRawBody;
    this.check(fn);
    this.#body ??= this.bodyField(Field.requestBody);
    if (this.#body === null) {
      const body = this.bytesAnswer(fn, await this.ask(fn));
      this.#body ??= body; // else it was set meanwhile
    }
    return this.#body.slice();
  }

  requestGetStartTime(): number {
    this.check(F.requestGetStartTime);
    return this.view.uint(Field.startTime);
  }

  requestGetUriCaptures(): Captures {
    this.check(F.requestGetUriCaptures);
    const unnamed: string[] = [];
    const named: Record<string, string> = Object.create(null);
    const groups = this.view.item(Field.captures, 0);
    for (let n = groups?.array() ?? 0; n > 0 && groups; n--) unnamed.push(groups.text());
    const names = this.view.item(Field.captures, 1);
    for (let n = names?.map() ?? 0; n > 0 && names; n--) named[names.text()] = names.text();
    return { unnamed, named };
  }

  #requestText(index: number): string {
    return this.view.item(Field.request, index)?.text() ?? "";
  }

  #requestPort(): number {
    return this.view.item(Field.request, RequestField.port)?.uint() ?? 0;
  }

  #rawPath(): string {
    const target = this.#requestText(RequestField.target);
    const at = target.indexOf("?");
    return at < 0 ? target : target.substring(0, at);
  }

  #path(): string {
    return this.view.item(Field.request, RequestField.path)?.text() ?? this.#rawPath();
  }

  #query(): string {
    this.#rawQuery ??= this.view.item(Field.request, RequestField.rawQuery)?.text() ?? this.#targetQuery();
    return this.#rawQuery;
  }

  #targetQuery(): string {
    const target = this.#requestText(RequestField.target);
    const at = target.indexOf("?");
    return at < 0 ? "" : target.substring(at + 1);
  }

  // service.request

  serviceRequestEnableBuffering(): void {
    const fn = F.serviceRequestEnableBuffering;
    this.check(fn);
    this.record(fn, { kind: "flag", code: fn.op });
  }

  serviceRequestSetScheme(scheme: string): void {
    this.check(F.serviceRequestSetScheme);
    this.recordText(F.serviceRequestSetScheme, schemeFault(scheme), scheme);
  }

  serviceRequestSetPath(path: string): void {
    this.check(F.serviceRequestSetPath);
    const fault = pathFault(path);
    this.recordText(F.serviceRequestSetPath, fault, fault === null ? escapePath(path) : path);
  }

  serviceRequestSetRawQuery(query: string): void {
    this.check(F.serviceRequestSetRawQuery);
    this.recordText(F.serviceRequestSetRawQuery, rawQueryFault(query), query);
    this.#rawQuery = query;
  }

  serviceRequestSetQuery(args: QueryMap): void {
    const fn = F.serviceRequestSetQuery;
    this.check(fn);
    let query: string;
    try {
      query = encodeQuery(args);
    } catch (cause) {
      if (cause instanceof QueryFault) throw this.argError(fn, cause.message);
      throw cause;
    }
    this.record(fn, { kind: "bytesText", code: F.serviceRequestSetRawQuery.op, text: query });
    this.#rawQuery = query;
  }

  serviceRequestSetMethod(method: string): void {
    this.check(F.serviceRequestSetMethod);
    this.recordText(F.serviceRequestSetMethod, methodFault(method), method);
    this.#method = method;
  }

  serviceRequestSetHeader(name: string, value: HeaderValue): void {
    const fn = F.serviceRequestSetHeader;
    this.check(fn);
    this.#setRequestHeader(fn, name, this.headerArg(fn, name, value));
  }

  serviceRequestAddHeader(name: string, value: HeaderValue): void {
    const fn = F.serviceRequestAddHeader;
    this.check(fn);
    const values = this.headerArg(fn, name, value);
    if (values.length === 0) return;
    this.record(fn, { kind: "header", code: fn.op, name, values });
    this.#requestLines().write((lines) => addRequestLines(lines, name, values));
  }

  serviceRequestClearHeader(name: string): void {
    const fn = F.serviceRequestClearHeader;
    this.check(fn);
    this.headerNameArg(fn, name);
    this.record(fn, { kind: "text", code: fn.op, text: name });
    this.#requestLines().write((lines) => setLines(lines, name, []));
  }

  serviceRequestSetHeaders(headers: HeaderMap): void {
    const fn = F.serviceRequestSetHeaders;
    this.check(fn);
    for (const [name, values] of this.headerMapArg(fn, headers)) this.#setRequestHeader(fn, name, values);
  }

  serviceRequestSetRawBody(body: Uint8Array): void {
    const fn = F.serviceRequestSetRawBody;
    this.check(fn);
    const bytes = this.bodyArg(fn, body);
    this.record(fn, { kind: "bytes", code: fn.op, bytes });
    this.#body = bytes;
  }

  #requestLines(): LineOverlay {
    this.#headers ??= new LineOverlay(() => this.view.lines(Field.request, RequestField.headers));
    return this.#headers;
  }

  #setRequestHeader(fn: PdkFunction, name: string, values: readonly string[]): void {
    this.record(fn, { kind: "header", code: F.serviceRequestSetHeader.op, name, values });
    this.#requestLines().write((lines) => setRequestLines(lines, name, values));
  }
}
