// The floor of a JavaScript plugin server: answers every call of a lane (docs/wire.md) with the bytes of one outcome, whatever the
// call says. It reads all frames that a data event brings and answers them with one write; nothing is decoded but frame headers.
//
//   node echo.mjs ADDRESS      unix:///path, tcp://host:port, or a path
//
// It writes "listening" as one line when it accepts connections, takes any token, and ends when its standard input does.
import { rmSync } from "node:fs";
import { createServer } from "node:net";

const HEADER_SIZE = 16;
const GREETING_SIZE = 8; // and the token
const HELLO = 1;
const CALL = 2;
const OUTCOME = 3;

const bin = (text) => Buffer.concat([Buffer.of(0xc4, text.length), Buffer.from(text)]);
const str = (text) => Buffer.concat([Buffer.of(0xa0 | text.length), Buffer.from(text)]);

/** [1, "js", "echo", pid 0] */
const HELLO_BODY = Buffer.concat([Buffer.of(0x94, 1), str("js"), str("echo"), Buffer.of(0)]);

/** [0, nil, [[1, "X-Hello-Js", ["hello, Ada"]], [21, "X-Hello-Js", ["hello, Ada"]]], nil]: what a plugin that greets answers. */
const setHeader = (code) => Buffer.concat([Buffer.of(0x93, code), str("X-Hello-Js"), Buffer.of(0x91), bin("hello, Ada")]);
const OUTCOME_BODY = Buffer.concat([Buffer.of(0x94, 0, 0xc0, 0x92), setHeader(1), setHeader(21), Buffer.of(0xc0)]);

function frame(type, body) {
  const bytes = Buffer.alloc(HEADER_SIZE + body.length);
  bytes.writeUInt32BE(body.length, 0);
  bytes[8] = type;
  body.copy(bytes, HEADER_SIZE);
  return bytes;
}

const ANSWERS = { [HELLO]: frame(HELLO, HELLO_BODY), [CALL]: frame(OUTCOME, OUTCOME_BODY) };

function serve(socket) {
  let rest = Buffer.alloc(0);
  let greeted = false;
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (piece) => {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    let pos = 0;
    if (!greeted) {
      if (bytes.length < GREETING_SIZE || bytes.length < GREETING_SIZE + bytes.readUInt16BE(6)) {
        rest = bytes;
        return;
      }
      pos = GREETING_SIZE + bytes.readUInt16BE(6);
      greeted = true;
    }
    const calls = [];
    let size = 0;
    while (pos + HEADER_SIZE <= bytes.length) {
      const end = pos + HEADER_SIZE + bytes.readUInt32BE(pos);
      if (end > bytes.length) break;
      const answer = ANSWERS[bytes[pos + 8]];
      if (answer !== undefined) {
        calls.push(pos);
        size += answer.length;
      }
      pos = end;
    }
    if (size > 0) {
      const out = Buffer.allocUnsafe(size);
      let at = 0;
      for (const call of calls) {
        const answer = ANSWERS[bytes[call + 8]];
        out.set(answer, at);
        out.writeUInt32BE(bytes.readUInt32BE(call + 4), at + 4);
        at += answer.length;
      }
      socket.write(out);
    }
    rest = pos < bytes.length ? bytes.subarray(pos) : rest.subarray(0, 0);
  });
}

const [, , address] = process.argv;
if (address === undefined) {
  console.error("usage: node echo.mjs ADDRESS (unix:///path, tcp://host:port, or a path)");
  process.exit(2);
}
const tcp = /^tcp:\/\/\[?(.*?)\]?:(\d+)$/.exec(address);
const path = address.replace(/^unix:\/\//, "");
if (tcp === null) rmSync(path, { force: true });
const server = createServer(serve);
server.listen(tcp === null ? { path } : { host: tcp[1], port: Number(tcp[2]) }, () => console.log("listening"));
process.stdin.on("end", () => process.exit(0)).resume();
