import { functions as F, type PdkFunction } from "../gen/functions.js";
import { type Body, type Captures, type MultiMap, Query, type QueryValue } from "../values.js";
import { BadBody, readBody } from "./body_read.js";
import { CallArguments } from "./call_arguments.js";
import { type Line, quote } from "./headers.js";
import { readableType } from "./media_type.js";
import { headerMap } from "./overlay.js";
import { DEFAULT_LIMIT, queryArg, queryArgs } from "./target.js";
import { Field, RequestField } from "./view.js";

/** Positions in field forwarded; docs/wire.md section 5. */
const ForwardedField = { scheme: 0, host: 1, port: 2, path: 3, prefix: 4 };

/** Namespace request. */
export class RequestCall extends CallArguments {
  requestGetScheme(): string {
    this.check(F.requestGetScheme);
    return this.requestText(RequestField.scheme);
  }

  requestGetHost(): string {
    this.check(F.requestGetHost);
    return this.requestText(RequestField.host);
  }

  requestGetPort(): number {
    this.check(F.requestGetPort);
    return this.requestPort();
  }

  requestGetForwardedScheme(): string {
    this.check(F.requestGetForwardedScheme);
    return this.view.itemText(Field.forwarded, ForwardedField.scheme) ?? this.requestText(RequestField.scheme);
  }

  requestGetForwardedHost(): string {
    this.check(F.requestGetForwardedHost);
    return this.view.itemText(Field.forwarded, ForwardedField.host) ?? this.requestText(RequestField.host);
  }

  requestGetForwardedPort(): number {
    this.check(F.requestGetForwardedPort);
    return this.view.item(Field.forwarded, ForwardedField.port)?.uint() ?? this.requestPort();
  }

  requestGetForwardedPath(): string {
    this.check(F.requestGetForwardedPath);
    return this.view.itemText(Field.forwarded, ForwardedField.path) ?? this.normalPath();
  }

  requestGetForwardedPrefix(): string | null {
    this.check(F.requestGetForwardedPrefix);
    return this.view.itemText(Field.forwarded, ForwardedField.prefix) ?? null;
  }

  requestGetHttpVersion(): number {
    this.check(F.requestGetHttpVersion);
    return (this.view.item(Field.request, RequestField.httpVersion)?.uint() ?? 0) / 10;
  }

  requestGetMethod(): string {
    this.check(F.requestGetMethod);
    return this.written.method ?? this.requestText(RequestField.method);
  }

  requestGetPath(): string {
    this.check(F.requestGetPath);
    return this.normalPath();
  }

  requestGetRawPath(): string {
    this.check(F.requestGetRawPath);
    return this.rawPath();
  }

  requestGetPathWithQuery(): string {
    this.check(F.requestGetPathWithQuery);
    return this.requestText(RequestField.target);
  }

  requestGetRawQuery(): string {
    this.check(F.requestGetRawQuery);
    return this.rawQuery();
  }

  requestGetQueryArg(name: string): QueryValue | null {
    const fn = F.requestGetQueryArg;
    this.check(fn);
    this.textArg(fn, "name", name);
    return queryArg(this.rawQuery(), name, DEFAULT_LIMIT);
  }

  requestGetQuery(maxArgs: number): Query {
    const fn = F.requestGetQuery;
    this.check(fn);
    const limit = this.limitArg(fn, "maxArgs", maxArgs);
    const args: [string, QueryValue][] = [];
    for (const arg of queryArgs(this.rawQuery())) {
      if (args.length === limit) return new Query(args, true);
      args.push(arg);
    }
    return new Query(args);
  }

  requestGetHeader(name: string): string | null {
    this.check(F.requestGetHeader);
    if (typeof name !== "string") this.textArg(F.requestGetHeader, "name", name);
    return this.requestHeader(name);
  }

  requestGetHeaders(maxHeaders: number): MultiMap {
    const fn = F.requestGetHeaders;
    this.check(fn);
    const limit = this.limitArg(fn, "maxHeaders", maxHeaders);
    return headerMap(this.requestLines(), limit);
  }

  async requestGetRawBody(): Promise<Uint8Array> {
    const fn = F.requestGetRawBody;
    this.check(fn);
    return (await this.rawBody(fn)).slice();
  }

  async requestGetBody(mimetype: string | null, maxArgs: number): Promise<Body> {
    const fn = F.requestGetBody;
    this.check(fn);
    const mediaType = this.mediaTypeArg(fn, mimetype) ?? this.requestHeader("content-type");
    return this.parsedBody(fn, mediaType, maxArgs, () => this.rawBody(fn));
  }

  private async rawBody(fn: PdkFunction): Promise<Uint8Array> {
    const writes = this.writes();
    writes.requestBody ??= this.bodyField(Field.requestBody);
    if (writes.requestBody === null) {
      const body = this.bytesAnswer(fn, await this.ask(fn));
      writes.requestBody ??= body; // else it was set meanwhile
    }
    return writes.requestBody;
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

  private requestText(index: number): string {
    return this.view.requestText(index) ?? "";
  }

  private requestPort(): number {
    return this.view.item(Field.request, RequestField.port)?.uint() ?? 0;
  }

  private rawPath(): string {
    const target = this.requestText(RequestField.target);
    const at = target.indexOf("?");
    return at < 0 ? target : target.substring(0, at);
  }

  private normalPath(): string {
    return this.view.requestText(RequestField.path) ?? this.rawPath();
  }

  /** The query as the handler sees it now. */
  protected rawQuery(): string {
    const { rawQuery } = this.written;
    return rawQuery ?? this.view.requestText(RequestField.rawQuery) ?? this.targetQuery();
  }

  private targetQuery(): string {
    const target = this.requestText(RequestField.target);
    const at = target.indexOf("?");
    return at < 0 ? "" : target.substring(at + 1);
  }

  /** A request header as the handler sees it now. */
  protected requestHeader(name: string): string | null {
    const { requestHeaders } = this.written;
    if (requestHeaders !== null) return requestHeaders.first(this.view, name);
    return this.view.header(Field.request, RequestField.headers, name);
  }

  /** The lines of the request headers as the handler sees them now. */
  protected requestLines(): readonly Line[] {
    return this.written.requestHeaders?.lines(this.view) ?? this.view.lines(Field.request, RequestField.headers);
  }

  protected scheme(): string {
    return this.requestText(RequestField.scheme);
  }

  /**
   * Parses a body that is asked for only when its media type can be read.
   *
   * @param mediaType - null: there is no content type.
   */
  protected async parsedBody(
    fn: PdkFunction,
    mediaType: string | null,
    maxArgs: unknown,
    body: () => Promise<Uint8Array>,
  ): Promise<Body> {
    const limit = this.limitArg(fn, "maxArgs", maxArgs);
    if (mediaType === null) throw this.dataError(fn, "missing content type");
    const mime = readableType(mediaType);
    if (mime === null) throw this.dataError(fn, `unsupported content type ${quote(mediaType)}`);
    const bytes = await body();
    try {
      return { value: readBody(bytes, mime, mediaType, limit), mime };
    } catch (cause) {
      if (cause instanceof BadBody) throw this.dataError(fn, cause.message);
      throw cause;
    }
  }
}
