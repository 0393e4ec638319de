import { timingSafeEqual } from "node:crypto";
import type { Socket } from "node:net";
import { SDK_LANGUAGE, SDK_VERSION } from "../version.js";
import { Bulk } from "./bulk.js";
import {
  FEATURES,
  FRAME_MS,
  FrameReader,
  FrameType,
  HEADER_SIZE,
  MAX_FRAME,
  stepOf,
  VERSION,
  WireCode,
} from "./frame.js";
import { readInPlace } from "./in_place.js";
import type { Instances } from "./instances.js";
import { type Carrier, closing, Lane, readAnswer, readHello } from "./lane.js";
import { cut, describeThrown, LEVEL_WARN } from "./log_text.js";
import { BadFrame, placeChunks, Reader } from "./msgpack_read.js";
import { Writer } from "./msgpack_write.js";
import { failed, largeBodies, type Outcome, writeOutcome } from "./ops.js";
import { CallView } from "./view.js";

const MAGIC = "ORLN";
const GREETING_HEAD = 8;
const GREETING_TIMEOUT_MS = 10_000;
/** Bytes on their way to the host above which chunks of large bodies wait. */
const BULK_WINDOW = 256 << 10;
/** Bytes on their way to the host above which log lines are dropped and counted. */
const LOG_WINDOW = 4 << 20;
const MAX_LOG_LINE = 64 << 10;

/** Serves one data-plane connection of carrier msgpack until it ends. */
export class MsgpackLane implements Carrier {
  readonly lane: Lane;
  /** The connection; what was given to the constructor may not be it any more. */
  readonly socket: Socket;
  readonly #socket: Socket;
  readonly #token: Buffer;
  readonly #frameMs: number;
  readonly #frames = new FrameReader((type, id, buf, start, end) => this.#frame(type, id, buf, start, end));
  readonly #writer = new Writer();
  readonly #bulk = new Bulk(this);
  #greeting: Buffer | null = Buffer.alloc(0);
  /** Ends the time of the greeting, then that of a frame that has begun. */
  #timer: NodeJS.Timeout | undefined;
  /** Frames of one read are being run: what they write leaves when all have run. */
  #reading = false;
  /** What is written in the microtasks after a read leaves with the rest. */
  #turn = false;
  #scheduled = false;
  #closed = false;
  /** A write has failed half way: what the host would read next is not what was meant. */
  #broken = false;
  #droppedLines = 0;

  /** @param frameMs - in milliseconds: the time of a frame. */
  constructor(connection: Socket, instances: Instances, token: Buffer, frameMs = FRAME_MS) {
    this.#frameMs = frameMs;
    this.#token = token;
    this.lane = new Lane(instances, this);
    const socket = readInPlace(connection, (piece) => this.#data(piece));
    this.socket = socket;
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#timer = setTimeout(() => this.#refuse(), GREETING_TIMEOUT_MS);
    socket.on("drain", () => this.#pump(() => this.#bulk.pump()));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#gone());
  }

  #data(piece: Buffer): void {
    if (this.#closed) return;
    this.#reading = true;
    try {
      const rest = this.#greeting === null ? piece : this.#greet(piece);
      if (rest !== null) this.#frames.push(rest);
      if (this.#frames.begun && this.#timer === undefined) this.#boundFrame();
    } catch (thrown) {
      const { code, message } = closing(thrown);
      this.close(code, message);
    }
    this.#reading = false;
    if (this.lane.busy) this.#flushAfterTurn();
    else this.flush();
  }

  /** Looks later whether the frame that has begun is complete. One timer is enough: it finds a frame after twice its time at most. */
  #boundFrame(): void {
    const frame = this.#frames.frames;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.#frames.begun) return;
      if (this.#frames.frames === frame)
        this.close(WireCode.badFrame, `a frame did not arrive within ${this.#frameMs} ms`);
      else this.#boundFrame();
    }, this.#frameMs);
  }

  /** Takes the greeting; answers what follows it, or null as long as it is not complete. */
  #greet(piece: Buffer): Buffer | null {
    const bytes = Buffer.concat([this.#greeting ?? Buffer.alloc(0), piece]);
    this.#greeting = bytes;
    const magic = bytes.latin1Slice(0, Math.min(4, bytes.length));
    if (!MAGIC.startsWith(magic)) return this.#refuse();
    if (bytes.length < GREETING_HEAD) return null;
    if (bytes.readUInt16BE(4) !== VERSION) return this.#refuse();
    const end = GREETING_HEAD + this.#token.length;
    if (bytes.readUInt16BE(6) !== this.#token.length) return this.#refuse();
    if (bytes.length < end) return null;
    const token = bytes.subarray(GREETING_HEAD, end);
    if (!timingSafeEqual(token, this.#token)) return this.#refuse();
    this.#greeting = null;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sayHello();
    return bytes.subarray(end);
  }

  #refuse(): null {
    this.#closed = true;
    this.#socket.destroy();
    return null;
  }

  #sayHello(): void {
    const w = this.#writer;
    const at = this.#begin();
    w.array(5);
    w.uint(VERSION);
    w.str(SDK_LANGUAGE);
    w.str(SDK_VERSION);
    w.uint(process.pid);
    w.uint(FEATURES);
    this.#end(at, FrameType.hello, 0);
  }

  #frame(type: number, id: number, buf: Buffer, start: number, end: number): void {
    if (this.#closed) return;
    if (!this.lane.ready && type !== FrameType.hello) throw new BadFrame("the first frame is not hello");
    switch (type) {
      case FrameType.call: {
        const gathered = this.lane.gathered(id, true);
        if (gathered === "dropped") return;
        this.lane.call(id, new CallView(buf, start, end, gathered && placeChunks(buf, start, end, gathered), true));
        return;
      }
      case FrameType.answer: {
        const step = stepOf(buf, start);
        const gathered = this.lane.gathered(id, false, step);
        if (gathered === "dropped") return;
        this.lane.answer(
          id,
          step,
          readAnswer(new Reader(buf, start, end, gathered && placeChunks(buf, start, end, gathered))),
        );
        return;
      }
      case FrameType.chunk:
        this.lane.chunk(id, buf.subarray(start, end));
        return;
      case FrameType.cancel:
        this.lane.cancel(id);
        return;
      case FrameType.entity: {
        const reader = new Reader(buf, start, end);
        const count = reader.array();
        if (count < 2) throw new BadFrame("an entity without a document");
        const slot = reader.uint();
        const document = reader.raw();
        reader.finish(count - 2);
        this.lane.entity(slot, document);
        return;
      }
      case FrameType.hello:
        this.lane.hello(readHello(new Reader(buf, start, end)));
        return;
      case FrameType.goaway:
        this.#closed = true;
        this.#socket.end();
        return;
      default:
        throw new BadFrame(`a frame of type ${type}`);
    }
  }

  /** Leaves room for a header; answers its place, counted from what was last sent. */
  #begin(): number {
    const w = this.#writer;
    w.ensure(HEADER_SIZE);
    const at = w.pos - w.start;
    w.pos += HEADER_SIZE;
    return at;
  }

  /** Fills in the header; false, and nothing is written, when the body is longer than a frame may be. */
  #end(at: number, type: number, id: number, step = 0): boolean {
    const w = this.#writer;
    const head = w.start + at;
    const length = w.pos - head - HEADER_SIZE;
    if (length > MAX_FRAME) {
      w.pos = head;
      return false;
    }
    writeHeader(w.buf, head, length, id, type, step);
    if (!this.#reading && !this.#turn) this.#schedule();
    return true;
  }

  outcome(id: number, step: number, outcome: Outcome): boolean {
    if (this.#closed || (step > 0 && this.#bulk.waits(id, () => this.outcome(id, step, outcome)))) return true;
    if (outcome.ops.length > 0 || outcome.body !== null) {
      const bodies = largeBodies(outcome);
      if (bodies.length > 0) {
        this.#pump(() => this.#bulk.add(id, step, outcome, bodies));
        return true;
      }
    }
    return this.sendOutcome(id, step, outcome);
  }

  sendOutcome(id: number, step: number, outcome: Outcome): boolean {
    const at = this.#begin();
    try {
      writeOutcome(this.#writer, outcome);
      if (this.#end(at, FrameType.outcome, id, step)) return true;
    } catch (thrown) {
      this.#writer.pos = this.#writer.start + at; // no half frame, and no call here: the stack may be at its end
      throw thrown;
    }
    const message = `what the handler wrote does not fit a frame of ${MAX_FRAME} bytes`;
    this.sendOutcome(id, step, failed(WireCode.tooLarge, message));
    return false;
  }

  ask(id: number, step: number, fn: number, args: readonly Uint8Array[]): void {
    if (this.#closed || (step > 0 && this.#bulk.waits(id, () => this.ask(id, step, fn, args)))) return;
    const at = this.#begin();
    let fits: boolean;
    try {
      this.#writer.array(1 + args.length);
      this.#writer.uint(fn);
      for (const arg of args) this.#writer.raw(arg);
      fits = this.#end(at, FrameType.ask, id, step);
    } catch (thrown) {
      this.#writer.pos = this.#writer.start + at;
      throw thrown;
    }
    if (!fits) {
      this.lane.answer(id, step, {
        error: { code: WireCode.tooLarge, message: "the question is too long", detail: "" },
        value: null,
      });
    }
  }

  log(id: number, step: number, level: number, message: string): void {
    if (this.#closed) return;
    if (this.#writer.pos - this.#writer.start > BULK_WINDOW) this.flush();
    if (this.#socket.writableLength > LOG_WINDOW) {
      this.#droppedLines++;
      return;
    }
    if (this.#droppedLines > 0) {
      const dropped = this.#droppedLines;
      this.#droppedLines = 0;
      this.log(0, 0, LEVEL_WARN, `${dropped} log lines were dropped: the host did not take them fast enough`);
    }
    const at = this.#begin();
    try {
      this.#writer.array(2);
      this.#writer.uint(level);
      this.#writer.binText(cut(message, MAX_LOG_LINE));
      this.#end(at, FrameType.log, id, step);
    } catch (thrown) {
      this.#writer.pos = this.#writer.start + at;
      throw thrown;
    }
  }

  roomy(): boolean {
    return !this.#closed && this.#socket.writableLength < BULK_WINDOW;
  }

  sendChunk(id: number, bytes: Uint8Array): void {
    const header = Buffer.alloc(HEADER_SIZE);
    header.writeUInt32BE(bytes.length, 0);
    header.writeUInt32BE(id, 4);
    header[8] = FrameType.chunk;
    this.flush(); // log lines of the call stay in front
    this.#socket.cork();
    this.#socket.write(header);
    this.#socket.write(bytes);
    this.#socket.uncork();
  }

  /** Outside of a read, what is written leaves at the end of this turn of the event loop. */
  #schedule(): void {
    if (this.#scheduled) return;
    setImmediate(() => {
      this.#scheduled = false;
      this.flush();
    });
    this.#scheduled = true; // not before: at the end of the stack setImmediate throws
  }

  /** After a read, what asynchronous handlers do at once leaves with the rest: when no microtask is left. */
  #flushAfterTurn(): void {
    if (this.#turn) return;
    this.#turn = true;
    queueMicrotask(() =>
      process.nextTick(() => {
        this.#turn = false;
        this.flush();
      }),
    );
  }

  flush(): void {
    if (this.#broken) {
      this.#socket.destroy();
      return;
    }
    if (this.#writer.pos === this.#writer.start) return;
    try {
      const bytes = this.#writer.take();
      if (!this.#socket.destroyed && this.#socket.writable) this.#socket.write(bytes);
      if (this.#socket.writableLength === 0) this.#writer.reuse(); // the kernel has it all
    } catch (thrown) {
      this.#broken = true; // first: the stack may be at its end, and the next flush finds it
      this.#break(thrown);
    }
  }

  /** Sends pieces of large bodies. Half of one would leave its call without an outcome. */
  #pump(send: () => void): void {
    try {
      send();
    } catch (thrown) {
      this.#broken = true;
      this.#break(thrown);
    }
  }

  /** Ends a lane that cannot be written to any more, so that its host does not wait. */
  #break(thrown: unknown): void {
    this.#broken = true;
    this.#socket.destroy();
    process.stderr.write(
      `outrigger-js: a lane is closed because writing to it failed: ${describeThrown(thrown).detail}\n`,
    );
  }

  close(code: string, message: string): void {
    if (this.#closed) return;
    try {
      const at = this.#begin();
      this.#writer.array(2);
      this.#writer.str(code);
      this.#writer.str(message);
      this.#end(at, FrameType.goaway, 0);
      this.flush();
      this.#socket.end();
    } catch (thrown) {
      this.#break(thrown);
    }
    this.#closed = true;
    this.lane.gone();
  }

  #gone(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#bulk.drop();
    this.lane.gone();
  }
}

function writeHeader(buf: Buffer, at: number, length: number, id: number, type: number, step: number): void {
  writeUint32(buf, at, length);
  writeUint32(buf, at + 4, id);
  writeUint32(buf, at + 8, type * 0x1000000 + step); // flags are 0
  writeUint32(buf, at + 12, 0);
}

/** writeUInt32BE without its checks. */
function writeUint32(buf: Buffer, at: number, v: number): void {
  buf[at] = v >>> 24;
  buf[at + 1] = v >>> 16;
  buf[at + 2] = v >>> 8;
  buf[at + 3] = v;
}
