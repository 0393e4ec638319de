import { type OnReadOpts, Socket } from "node:net";

/** Bytes that one read brings at most. */
const READ_SIZE = 64 << 10;

/** What a socket of Node stands on. Node's types do not name it. */
interface OnHandle {
  _handle?: { readonly useUserBuffer?: unknown } | null;
}

type HandleOptions = ConstructorParameters<typeof Socket>[0] & {
  readonly handle: unknown;
  readonly onread: OnReadOpts;
};

/**
 * Reads what a connection brings into one buffer, again and again, where Node makes a buffer for every read otherwise: that costs a
 * quarter of a short turn. Node gives such reads to sockets that are made for them only, so the connection is moved to a new one. A
 * connection without a handle of its own, such as one of TLS, is read as usual.
 *
 * @param take - is given what came. The bytes are valid until it returns.
 * @returns the socket to go on with.
 */
export function readInPlace(connection: Socket, take: (piece: Buffer) => void): Socket {
  const inner = connection as unknown as OnHandle;
  const handle = inner._handle;
  if (Object.getPrototypeOf(connection) !== Socket.prototype || typeof handle?.useUserBuffer !== "function") {
    connection.on("data", take);
    return connection;
  }
  const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
  const callback = (length: number): boolean => {
    take(buffer.subarray(0, length));
    return true;
  };
  const options: HandleOptions = { handle, onread: { buffer, callback } };
  inner._handle = null;
  const socket = new Socket(options);
  // Whoever holds one of them ends both: the server counts its connections by the first.
  socket.once("close", () => connection.destroy());
  connection.once("close", () => socket.destroy());
  return socket;
}
