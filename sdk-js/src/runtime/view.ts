import type { Line } from "./headers.js";
import { fold } from "./headers.js";
import { BadFrame, isExt, Reader, skip, textEnd, textStart } from "./msgpack_read.js";
import { asciiText, decodeText } from "./text.js";

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
  prefetched: 24,
  steps: 25,
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

/** Positions inside an item of field steps; section 5.3. Each stands for a field of the call. */
const STEP_FIELDS = [Field.instance, Field.timeout, Field.plugin, Field.prefetched, Field.trace] as const;

/** Most steps of a call, with the first. */
const MAX_STEPS = 64;
/** The phase whose calls have one step. */
export const BODY_FILTER = 5;
const NIL = 0xc0;
/** Position of what is not there. */
const ABSENT = -1;
/** Bodies up to this many bytes become one string when several texts of them are read: its parts cost almost nothing. */
const WHOLE_TEXT = 4096;

/** A call as it arrived: its form is checked at once, fields are decoded when somebody asks for them. */
export class CallView {
  readonly instance: number | bigint;
  readonly phase: number;
  #buf: Buffer;
  #start: number;
  #end: number;
  #places: ReadonlyMap<number, Buffer> | null;
  /** Positions of the fields. */
  #fields: number[];
  /** The bytes are somebody else's, who will write over them when the handler has returned. */
  #lent: boolean;
  /** Of the view of a later step: that of the call. */
  #call: CallView | null = null;
  #texts = 0;
  #ascii: string | null = null;
  /** The field whose headers were looked at last, the position of the first one, and how many they are. */
  #listed = -1;
  #listAt = 0;
  #pairs = 0;
  /** Counts reads: of the first few nothing is remembered. */
  #reads = 0;
  /** Headers of that field that were found, or found to be absent; null: none yet. */
  #headers: Memo<string, string | null> | null = null;
  /** Items of the request that were read as text. */
  #request: Memo<number, string> | null = null;

  /**
   * @param lent - the bytes are valid until the handler returns; see keep.
   * @param fields - of the view of a later step.
   * @throws BadFrame when the body is no array of whole values that begins like a call.
   */
  constructor(
    buf: Buffer,
    start: number,
    end: number,
    places: ReadonlyMap<number, Buffer> | null = null,
    lent = false,
    fields: number[] = fieldsOf(buf, start, end),
  ) {
    this.#buf = buf;
    this.#start = start;
    this.#end = end;
    this.#places = places;
    this.#fields = fields;
    this.#lent = lent;
    const instance = buf[fields[Field.instance] ?? end] as number;
    this.instance =
      instance < 0x80 && fields.length > 1 ? instance : new Reader(buf, fields[Field.instance] ?? end, end).id();
    const phase = buf[fields[Field.phase] ?? end] as number;
    this.phase = phase < 0x80 && fields.length > 1 ? phase : new Reader(buf, fields[Field.phase] ?? end, end).uint();
  }

  /** Copies what the call stands on, if it is somebody else's: a handler goes on after it has returned. */
  keep(): void {
    if (!this.#lent) return;
    this.#lent = false;
    const from = this.#start;
    if (this.#call === null) {
      this.#buf = Buffer.from(this.#buf.subarray(from, this.#end));
    } else {
      this.#call.keep();
      this.#buf = this.#call.#buf;
    }
    this.#start = 0;
    this.#end -= from;
    this.#fields = this.#fields.map((pos) => (pos === ABSENT ? ABSENT : pos - from));
    this.#listAt -= from;
    if (this.#places !== null) this.#places = new Map([...this.#places].map(([pos, bytes]) => [pos - from, bytes]));
  }

  /** How many instances the call is for, one after the other. @throws BadFrame */
  get steps(): number {
    if (this.#fields.length <= Field.steps) return 1;
    const steps = 1 + (this.reader(Field.steps)?.array() ?? 0);
    if (steps > MAX_STEPS) throw new BadFrame(`a call of ${steps} steps; at most ${MAX_STEPS} are allowed`);
    if (steps > 1 && this.phase === BODY_FILTER)
      throw new BadFrame(`${steps} steps of body_filter, which travels alone`);
    return steps;
  }

  /** Whether answers came along, ahead of the questions. */
  get prefetches(): boolean {
    return this.#fields.length > Field.prefetched && this.#at(Field.prefetched) !== ABSENT;
  }

  /** The call as a later step sees it. @throws BadFrame */
  step(index: number): CallView {
    const reader = this.reader(Field.steps);
    if (reader === null || index > reader.array()) throw new BadFrame(`step ${index} of a call of ${this.steps} steps`);
    for (let i = 1; i < index; i++) reader.skip();
    const count = reader.array();
    const fields = this.#fields.slice();
    for (const [i, field] of STEP_FIELDS.entries()) {
      fields[field] = i < count ? reader.pos : ABSENT;
      if (i < count) reader.skip();
    }
    if (count === 0) throw new BadFrame("a step without an instance");
    const view = new CallView(this.#buf, this.#start, this.#end, this.#places, this.#lent, fields);
    view.#call = this;
    return view;
  }

  /** Position of a field; ABSENT when the body ends before it or it is nil. */
  #at(field: number): number {
    const pos = this.#fields[field];
    return pos === undefined || pos === ABSENT || this.#buf[pos] === NIL ? ABSENT : pos;
  }

  /** Reader at a field; null when the field is missing or nil. */
  reader(field: number): Reader | null {
    const pos = this.#at(field);
    return pos === ABSENT ? null : new Reader(this.#buf, pos, this.#end, this.#places);
  }

  /** Position of an item of a field that is an array; ABSENT when either is missing or nil. */
  #itemAt(field: number, index: number): number {
    let pos = this.#at(field);
    if (pos === ABSENT) return ABSENT;
    const head = this.#buf[pos] as number;
    if (head >= 0x90 && head < 0xa0) {
      if (index >= (head & 0x0f)) return ABSENT;
      pos++;
    } else {
      const reader = new Reader(this.#buf, pos, this.#end);
      if (index >= reader.array()) return ABSENT;
      pos = reader.pos;
    }
    for (let i = 0; i < index; i++) pos = skip(this.#buf, pos, this.#end);
    return this.#buf[pos] === NIL ? ABSENT : pos;
  }

  /** Reader at an item of a field that is an array; null when either is missing or nil. */
  item(field: number, index: number): Reader | null {
    const pos = this.#itemAt(field, index);
    return pos === ABSENT ? null : new Reader(this.#buf, pos, this.#end, this.#places);
  }

  /** Text of an item of a field that is an array; null when either is missing or nil. */
  itemText(field: number, index: number): string | null {
    const pos = this.#itemAt(field, index);
    return pos === ABSENT ? null : this.#textAt(pos);
  }

  /** itemText of field request, remembered. */
  requestText(index: number): string | null {
    if (this.#request !== null) {
      const known = this.#request.get(index);
      if (known !== undefined) return known;
    }
    const text = this.itemText(Field.request, index);
    if (text !== null && this.#reads++ >= FEW) {
      this.#request ??= new Memo();
      this.#request.add(index, text);
    }
    return text;
  }

  uint(field: number): number {
    return this.reader(field)?.uint() ?? 0;
  }

  /** Bytes of a field, still those of the frame; null when it is missing or nil. */
  bytes(field: number): Buffer | null {
    return this.reader(field)?.bytes() ?? null;
  }

  /** First value of a header in the flat list that is an item of a field; null when there is none. */
  header(field: number, index: number, name: string): string | null {
    if (this.#listed !== field) this.#list(field, index);
    else if (this.#headers !== null) {
      const known = this.#headers.get(name);
      if (known !== undefined) return known;
    }
    const value = this.#findHeader(name);
    if (this.#reads++ < FEW) return value;
    this.#headers ??= new Memo();
    this.#headers.add(name, value);
    return value;
  }

  #findHeader(name: string): string | null {
    const buf = this.#buf;
    const end = this.#end;
    const length = name.length;
    let pos = this.#listAt;
    for (let i = this.#pairs; i > 0; i--) {
      const head = buf[pos] as number;
      const short = head >= 0xa0 && head < 0xc0; // as nearly all names
      const start = short ? pos + 1 : textStart(buf, pos);
      const stop = short ? start + (head & 0x1f) : textEnd(buf, pos, start);
      if (stop > end) throw new BadFrame("frame ends inside a value");
      if (stop - start === length && this.#isName(start, name)) return this.#textAt(stop);
      pos = buf[stop] === 0xc4 ? stop + 2 + (buf[stop + 1] as number) : skip(buf, stop, end);
    }
    return null;
  }

  #list(field: number, index: number): void {
    const reader = this.item(field, index);
    this.#pairs = (reader?.array() ?? 0) >> 1;
    this.#listAt = reader?.pos ?? 0;
    this.#listed = field;
    this.#headers = null;
  }

  /** From the end: many names begin alike. */
  #isName(start: number, name: string): boolean {
    for (let i = name.length - 1; i >= 0; i--) {
      const a = this.#buf[start + i] as number;
      const b = name.charCodeAt(i);
      if (a !== b && fold(a) !== fold(b)) return false;
    }
    return true;
  }

  #textAt(pos: number): string {
    const buf = this.#buf;
    const head = buf[pos] as number;
    if (this.#places?.has(pos) || isExt(head)) return new Reader(buf, pos, this.#end, this.#places).text();
    const start = textStart(buf, pos);
    const end = textEnd(buf, pos, start);
    if (end > this.#end) throw new BadFrame("frame ends inside a value");
    return this.#slice(start, end);
  }

  /** Text of buf[start, end). From the second one on, they are parts of one string of the whole body. */
  #slice(start: number, end: number): string {
    const buf = this.#buf;
    for (let i = start; i < end; i++) if ((buf[i] as number) >= 0x80) return decodeText(buf, start, end);
    if (end - start < 3 || this.#end - this.#start > WHOLE_TEXT || this.#texts++ === 0) {
      return asciiText(buf, start, end);
    }
    this.#ascii ??= buf.latin1Slice(this.#start, this.#end);
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

/** Reads of a handler that most do not exceed. */
const FEW = 2;
/** Most answers that a view remembers. */
const MEMO_SIZE = 8;

/** A few answers by their keys, so few that looking through them is quickest. */
class Memo<K, V> {
  readonly #keys: K[] = [];
  readonly #values: V[] = [];

  /** undefined: it is not here. */
  get(key: K): V | undefined {
    for (let i = 0; i < this.#keys.length; i++) if (this.#keys[i] === key) return this.#values[i];
    return undefined;
  }

  add(key: K, value: V): void {
    if (this.#keys.length === MEMO_SIZE) return;
    this.#keys.push(key);
    this.#values.push(value);
  }
}

/** Positions of the fields of the body in buf[start, end). @throws BadFrame when it is no array of whole values. */
function fieldsOf(buf: Buffer, start: number, end: number): number[] {
  const reader = new Reader(buf, start, end);
  const count = reader.array();
  const fields = new Array<number>(count);
  let pos = reader.pos;
  for (let i = 0; i < count; i++) {
    fields[i] = pos;
    pos = pos < end && buf[pos] === NIL ? pos + 1 : skip(buf, pos, end);
  }
  if (pos !== end) throw new BadFrame(`${end - pos} bytes behind the end of a call`);
  return fields;
}
