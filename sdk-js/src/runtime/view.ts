import type { Line } from "./headers.js";
import { fold } from "./headers.js";
import { BadFrame, Reader, skip, textEnd, textStart } from "./msgpack_read.js";
import { decodeText } from "./text.js";

/** Positions of the fields of a call; docs/wire.md section 5. */
export const Field = {
  instance: 0,
  phase: 1,
  timeout: 2,
  requestId: 3,
  startTime: 4,
  request: 5,
  client: 6,
  forwarded: 7,
  route: 8,
  service: 9,
  consumer: 10,
  credential: 11,
  captures: 12,
  shared: 13,
  response: 14,
  serviceResponse: 15,
  chunk: 16,
  last: 17,
  requestBody: 18,
  responseBody: 19,
  plugin: 20,
  tls: 21,
  groups: 22,
  trace: 23,
} as const;

/** Positions inside field request; section 5.1. */
export const RequestField = {
  method: 0,
  scheme: 1,
  host: 2,
  port: 3,
  httpVersion: 4,
  target: 5,
  path: 6,
  headers: 7,
  rawQuery: 8,
} as const;

const NIL = 0xc0;
/** Bodies up to this many bytes become one string when several texts of them are read: its parts cost almost nothing. */
const WHOLE_TEXT = 4096;

/** A call as it arrived: its form is checked at once, fields are decoded when somebody asks for them. */
export class CallView {
  readonly instance: number | bigint;
  readonly phase: number;
  readonly #buf: Buffer;
  readonly #start: number;
  readonly #end: number;
  readonly #places: ReadonlyMap<number, Buffer> | null;
  /** Positions of the fields. */
  readonly #fields: number[];
  #texts = 0;
  #ascii: string | null = null;

  /** @throws BadFrame when the body is no array of whole values that begins like a call. */
  constructor(buf: Buffer, start: number, end: number, places: ReadonlyMap<number, Buffer> | null = null) {
    const reader = new Reader(buf, start, end);
    const count = reader.array();
    const fields = [reader.pos];
    this.instance = reader.id();
    fields.push(reader.pos);
    this.phase = reader.uint();
    let pos = reader.pos;
    for (let i = 2; i < count; i++) {
      fields.push(pos);
      pos = skip(buf, pos, end);
    }
    if (pos !== end) throw new BadFrame(`${end - pos} bytes behind the end of a call`);
    this.#buf = buf;
    this.#start = start;
    this.#end = end;
    this.#places = places;
    this.#fields = fields;
  }

  /** Position of a field; -1 when the body ends before it or it is nil. */
  #at(field: number): number {
    const pos = this.#fields[field];
    return pos === undefined || this.#buf[pos] === NIL ? -1 : pos;
  }

  /** Reader at a field; null when the field is missing or nil. */
  reader(field: number): Reader | null {
    const pos = this.#at(field);
    return pos < 0 ? null : new Reader(this.#buf, pos, this.#end, this.#places);
  }

  /** Reader at an item of a field that is an array; null when either is missing or nil. */
  item(field: number, index: number): Reader | null {
    const reader = this.reader(field);
    if (reader === null || index >= reader.array()) return null;
    for (let i = 0; i < index; i++) reader.skip();
    return reader.nil() ? null : reader;
  }

  uint(field: number): number {
    return this.reader(field)?.uint() ?? 0;
  }

  text(field: number): string {
    return this.reader(field)?.text() ?? "";
  }

  /** Bytes of a field, still those of the frame; null when it is missing or nil. */
  bytes(field: number): Buffer | null {
    return this.reader(field)?.bytes() ?? null;
  }

  /** First value of a header in the flat list that is an item of a field; null when there is none. */
  header(field: number, index: number, name: string): string | null {
    const reader = this.item(field, index);
    if (reader === null) return null;
    const buf = this.#buf;
    const pairs = reader.array() >> 1;
    let pos = reader.pos;
    for (let i = 0; i < pairs; i++) {
      const start = textStart(buf, pos);
      const end = textEnd(buf, pos, start);
      if (end > this.#end) throw new BadFrame("frame ends inside a value");
      if (end - start === name.length && this.#isName(start, name)) {
        return this.#headerValue(end);
      }
      pos = skip(buf, end, this.#end);
    }
    return null;
  }

  #isName(start: number, name: string): boolean {
    for (let i = 0; i < name.length; i++) {
      const a = this.#buf[start + i] as number;
      const b = name.charCodeAt(i);
      if (a !== b && fold(a) !== fold(b)) return false;
    }
    return true;
  }

  #headerValue(pos: number): string {
    if (this.#places?.has(pos)) return new Reader(this.#buf, pos, this.#end, this.#places).text();
    const start = textStart(this.#buf, pos);
    const end = textEnd(this.#buf, pos, start);
    if (end > this.#end) throw new BadFrame("frame ends inside a value");
    return this.#slice(start, end);
  }

  /** Text of buf[start, end). From the second one on, they are parts of one string of the whole body. */
  #slice(start: number, end: number): string {
    if (end - start < 3 || this.#end - this.#start > WHOLE_TEXT || this.#texts++ === 0) {
      return decodeText(this.#buf, start, end);
    }
    for (let i = start; i < end; i++) {
      if ((this.#buf[i] as number) >= 0x80) return decodeText(this.#buf, start, end);
    }
    this.#ascii ??= this.#buf.latin1Slice(this.#start, this.#end);
    return this.#ascii.substring(start - this.#start, end - this.#start);
  }

  /** The flat list of headers that is an item of a field. */
  lines(field: number, index: number): Line[] {
    const reader = this.item(field, index);
    if (reader === null) return [];
    const pairs = reader.array() >> 1;
    const lines: Line[] = [];
    for (let i = 0; i < pairs; i++) lines.push([reader.text(), reader.text()]);
    return lines;
  }
}
