/**
 * Text of peers and plugins: UTF-8 in which every invalid byte is kept as one code unit U+DC80 to U+DCFF, so that any bytes
 * survive the way into a string and back.
 */

declare global {
  // Methods that Node.js has and its type package leaves out.
  interface Buffer {
    latin1Slice(start: number, end: number): string;
    utf8Slice(start: number, end: number): string;
    utf8Write(text: string, start: number): number;
  }
}

const ESCAPE = 0xdc00; // an invalid byte b is ESCAPE + b

/** Text of buf[start, end). Never fails: invalid bytes become U+DC80 to U+DCFF. */
export function decodeText(buf: Buffer, start: number, end: number): string {
  for (let i = start; i < end; i++) {
    if ((buf[i] as number) >= 0x80) {
      const text = buf.utf8Slice(start, end);
      // A replacement character is either in the source or stands for invalid bytes: only a walk can tell.
      return text.includes("\ufffd") ? decodeEscaped(buf, start, end) : text;
    }
  }
  return asciiText(buf, start, end);
}

/** Text of buf[start, end), which has no byte from 0x80 on. */
export function asciiText(buf: Buffer, start: number, end: number): string {
  switch (end - start) {
    case 0:
      return "";
    case 1:
      return String.fromCharCode(buf[start] as number);
    case 2:
      return String.fromCharCode(buf[start] as number, buf[start + 1] as number);
    default:
      return buf.latin1Slice(start, end);
  }
}

/** Length of the well-formed UTF-8 sequence at i, or 0. */
function sequenceLength(buf: Buffer, i: number, end: number): number {
  const b0 = buf[i] as number;
  if (b0 < 0x80) return 1;
  const b1 = i + 1 < end ? (buf[i + 1] as number) : 0;
  if (b0 < 0xc2 || b0 > 0xf4 || (b1 & 0xc0) !== 0x80) return 0;
  if (b0 < 0xe0) return 2;
  const b2 = i + 2 < end ? (buf[i + 2] as number) : 0;
  if ((b2 & 0xc0) !== 0x80) return 0;
  if (b0 < 0xf0) {
    // No overlong forms, no surrogates.
    return (b0 === 0xe0 && b1 < 0xa0) || (b0 === 0xed && b1 > 0x9f) ? 0 : 3;
  }
  const b3 = i + 3 < end ? (buf[i + 3] as number) : 0;
  if ((b3 & 0xc0) !== 0x80 || (b0 === 0xf0 && b1 < 0x90) || (b0 === 0xf4 && b1 > 0x8f)) return 0;
  return 4;
}

function decodeEscaped(buf: Buffer, start: number, end: number): string {
  let text = "";
  let from = start; // start of the valid run that is not yet in text
  let i = start;
  while (i < end) {
    const n = sequenceLength(buf, i, end);
    if (n > 0) {
      i += n;
      continue;
    }
    text += buf.utf8Slice(from, i) + String.fromCharCode(ESCAPE + (buf[i] as number));
    from = ++i;
  }
  return text + buf.utf8Slice(from, end);
}

/** Whether the text has bytes to stand for: no surrogates but pairs and U+DC80 to U+DCFF. */
export function isEncodable(text: string): boolean {
  if (text.isWellFormed()) return true;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0xd800 || c > 0xdfff) continue;
    if (c < 0xdc00) {
      const next = text.charCodeAt(i + 1);
      if (!(next >= 0xdc00 && next <= 0xdfff)) return false;
      i++;
    } else if (c < 0xdc80 || c > 0xdcff) {
      return false;
    }
  }
  return true;
}

/** Number of bytes that writeText writes at most. */
export function maxTextLength(text: string): number {
  return text.length * 3;
}

/**
 * Writes the bytes of a text at pos and answers the position after them; the buffer has room for maxTextLength. Surrogates that
 * stand for nothing become U+FFFD.
 */
export function writeText(buf: Buffer, pos: number, text: string): number {
  const n = text.length;
  if (n > 64) {
    return text.isWellFormed() ? pos + buf.utf8Write(text, pos) : writeEscaped(buf, pos, text, 0);
  }
  for (let i = 0; i < n; i++) {
    const c = text.charCodeAt(i);
    if (c >= 0x80) return writeEscaped(buf, pos + i, text, i);
    buf[pos + i] = c;
  }
  return pos + n;
}

function writeEscaped(buf: Buffer, start: number, text: string, from: number): number {
  let pos = start;
  for (let i = from; i < text.length; i++) {
    let c = text.charCodeAt(i);
    if (c < 0x80) {
      buf[pos++] = c;
      continue;
    }
    if (c < 0x800) {
      buf[pos++] = 0xc0 | (c >> 6);
      buf[pos++] = 0x80 | (c & 0x3f);
      continue;
    }
    if (c >= 0xd800 && c <= 0xdfff) {
      if (c >= ESCAPE + 0x80 && c <= ESCAPE + 0xff) {
        buf[pos++] = c - ESCAPE;
        continue;
      }
      const next = text.charCodeAt(i + 1);
      if (c < 0xdc00 && next >= 0xdc00 && next <= 0xdfff) {
        c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
        buf[pos++] = 0xf0 | (c >> 18);
        buf[pos++] = 0x80 | ((c >> 12) & 0x3f);
        buf[pos++] = 0x80 | ((c >> 6) & 0x3f);
        buf[pos++] = 0x80 | (c & 0x3f);
        i++;
        continue;
      }
      c = 0xfffd;
    }
    buf[pos++] = 0xe0 | (c >> 12);
    buf[pos++] = 0x80 | ((c >> 6) & 0x3f);
    buf[pos++] = 0x80 | (c & 0x3f);
  }
  return pos;
}

/** The bytes of a text, in a buffer of their own. */
export function encodeText(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text);
  const buf = Buffer.allocUnsafe(maxTextLength(text));
  return buf.subarray(0, writeText(buf, 0, text));
}
