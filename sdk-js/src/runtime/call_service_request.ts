import { functions as F, type PdkFunction } from "../gen/functions.js";
import type { HeaderMap, HeaderValue, QueryMap } from "../values.js";
import { BodyFault, type WrittenBody, writeBodyOf } from "./body_write.js";
import { RequestCall } from "./call_request.js";
import { addRequestLines, kindOf, quote, setRequestLines } from "./headers.js";
import { type BodyType, boundaryOf, writableType } from "./media_type.js";
import { LineOverlay, type LinePlace } from "./overlay.js";
import {
  encodeQuery,
  escapePath,
  methodFault,
  pathFault,
  QueryFault,
  rawQueryFault,
  schemeFault,
  withoutArg,
} from "./target.js";
import { Field, RequestField } from "./view.js";

const REQUEST_LINES: LinePlace = {
  field: Field.request,
  index: RequestField.headers,
  add: F.serviceRequestAddHeader.op,
  setLines: setRequestLines,
  addLines: addRequestLines,
};
const NO_VALUES: readonly string[] = Object.freeze([]);

/** Namespace service.request. */
export class ServiceRequestCall extends RequestCall {
  serviceRequestEnableBuffering(): void {
    const fn = F.serviceRequestEnableBuffering;
    this.check(fn);
    this.record({ kind: "flag", code: fn.op });
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
    this.writes().rawQuery = query;
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
    this.record({ kind: "bytesText", code: F.serviceRequestSetRawQuery.op, text: query });
    this.writes().rawQuery = query;
  }

  serviceRequestClearQueryArg(name: string): void {
    const fn = F.serviceRequestClearQueryArg;
    this.check(fn);
    this.nameArg(fn, "name", name);
    const before = this.rawQuery();
    const query = withoutArg(before, name);
    if (query === before) return;
    this.record({ kind: "bytesText", code: F.serviceRequestSetRawQuery.op, text: query });
    this.writes().rawQuery = query;
  }

  serviceRequestSetMethod(method: string): void {
    this.check(F.serviceRequestSetMethod);
    this.recordText(F.serviceRequestSetMethod, methodFault(method), method);
    this.writes().method = method;
  }

  serviceRequestSetHeader(name: string, value: HeaderValue): void {
    const fn = F.serviceRequestSetHeader;
    this.check(fn);
    this.setRequestHeader(name, this.headerArg(fn, name, value));
  }

  serviceRequestAddHeader(name: string, value: HeaderValue): void {
    const fn = F.serviceRequestAddHeader;
    this.check(fn);
    const values = this.headerArg(fn, name, value);
    if (values.length === 0) return;
    this.recordHeader(this.requestHeaders(), fn.op, name, values);
  }

  serviceRequestClearHeader(name: string): void {
    const fn = F.serviceRequestClearHeader;
    this.check(fn);
    this.headerNameArg(fn, name);
    this.record({ kind: "text", code: fn.op, text: name });
    this.requestHeaders().write({ code: fn.op, name, values: NO_VALUES });
  }

  serviceRequestSetHeaders(headers: HeaderMap): void {
    const fn = F.serviceRequestSetHeaders;
    this.check(fn);
    for (const [name, values] of this.headerMapArg(fn, headers)) this.setRequestHeader(name, values);
  }

  serviceRequestSetRawBody(body: Uint8Array): void {
    const fn = F.serviceRequestSetRawBody;
    this.check(fn);
    const bytes = this.bodyArg(fn, body);
    this.record({ kind: "bytes", code: fn.op, bytes });
    this.writes().requestBody = bytes;
  }

  serviceRequestSetBody(value: unknown, mimetype: string | null): void {
    const fn = F.serviceRequestSetBody;
    this.check(fn);
    const given = this.mediaTypeArg(fn, mimetype);
    if (typeof value !== "object" || value === null) {
      throw this.argError(fn, `value is ${kindOf(value)}; expected an object or an array`);
    }
    const mediaType = given ?? this.requestHeader("content-type");
    if (mediaType === null) throw this.dataError(fn, "missing content type");
    const type = writableType(mediaType);
    if (type === null) throw this.argError(fn, `unsupported content type ${quote(mediaType)}`);
    const boundary = boundaryOf(given) ?? boundaryOf(this.requestHeader("content-type"));
    const { bytes, contentType } = this.writtenBody(fn, value, type, boundary);
    const values = this.headerArg(fn, "Content-Type", contentType);
    this.record({ kind: "bytes", code: F.serviceRequestSetRawBody.op, bytes: this.sizedBody(fn, bytes) });
    this.writes().requestBody = bytes;
    this.setRequestHeader("Content-Type", values);
  }

  private writtenBody(fn: PdkFunction, value: object, type: BodyType, boundary: string | null): WrittenBody {
    try {
      return writeBodyOf(value, type, boundary);
    } catch (cause) {
      if (cause instanceof BodyFault) throw this.argError(fn, cause.message, cause.cause);
      throw cause;
    }
  }

  private requestHeaders(): LineOverlay {
    const writes = this.writes();
    writes.requestHeaders ??= new LineOverlay(REQUEST_LINES);
    return writes.requestHeaders;
  }

  private setRequestHeader(name: string, values: readonly string[]): void {
    this.recordHeader(this.requestHeaders(), F.serviceRequestSetHeader.op, name, values);
  }
}
