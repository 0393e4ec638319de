import { constants, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, createServer, type SecureContextOptions, type Server, type TLSSocket } from "node:tls";
import { PluginError } from "../errors.js";

/** How long a handshake may take, in milliseconds. */
const HANDSHAKE_MS = 10_000;
/** Times that files are read which are replaced meanwhile. */
const ATTEMPTS = 3;

/** Paths of PEM files: this server's certificate, its key, and the certificates that gateways must be signed by. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
}

/**
 * The files of mutual TLS, for both planes. They are looked at again at every connection, so that a renewed certificate is used without
 * a restart. Files that do not fit together, such as half of a renewal, change nothing: what was loaded before stays in use.
 */
export class Certificates {
  readonly #files: TlsFiles;
  readonly #log: (message: string) => void;
  #seen: string;
  #loaded: SecureContextOptions;

  /** @throws PluginError when the files cannot be used. */
  constructor(files: TlsFiles, log: (message: string) => void) {
    this.#files = files;
    this.#log = log;
    this.#seen = this.#look();
    this.#loaded = this.#load();
  }

  /** A server that hands over connections whose other side has shown a certificate. @param protocols - of ALPN. */
  createServer(protocols: string[], onConnection: (socket: TLSSocket) => void): Server {
    let used = this.#loaded;
    const verify = { requestCert: true, rejectUnauthorized: true, handshakeTimeout: HANDSHAKE_MS };
    const alpn = protocols.length > 0 ? { ALPNProtocols: protocols } : {};
    const server = createServer({ ...used, ...verify, ...alpn }, onConnection);
    // Ahead of the server's own listener, which begins the handshake.
    server.prependListener("connection", () => {
      const now = this.#current();
      if (now !== used) server.setSecureContext(now);
      used = now;
    });
    server.on("tlsClientError", (error, socket) => {
      this.#log(`connection refused: ${error.message}`);
      socket.destroy();
    });
    return server;
  }

  #current(): SecureContextOptions {
    const seen = this.#look();
    if (seen === this.#seen) return this.#loaded;
    this.#seen = seen; // a broken file is told once, not at every connection
    try {
      this.#loaded = this.#load();
      this.#log(`the certificates have changed and are in use: ${this.#files.cert}`);
    } catch (thrown) {
      const why = (thrown as Error).message;
      this.#log(`the certificates have changed but cannot be used: the ones before stay in use: ${why}`);
    }
    return this.#loaded;
  }

  /** Which files are there. */
  #look(): string {
    const { cert, key, clientCa } = this.#files;
    return [cert, key, clientCa]
      .map((path) => {
        const found = statSync(path, { bigint: true, throwIfNoEntry: false });
        return found === undefined ? "none" : `${found.dev} ${found.ino} ${found.size} ${found.mtimeNs}`;
      })
      .join();
  }

  /** Reads the files, once more when they are replaced meanwhile. */
  #load(): SecureContextOptions {
    for (let i = 1; i < ATTEMPTS; i++) {
      const seen = this.#look();
      const loaded = load(this.#files);
      if (seen === this.#look()) return loaded;
    }
    return load(this.#files);
  }
}

function load(files: TlsFiles): SecureContextOptions {
  const options: SecureContextOptions = {
    cert: read("--tls-cert", files.cert),
    key: read("--tls-key", files.key),
    ca: read("--tls-client-ca", files.clientCa),
    minVersion: "TLSv1.3",
    secureOptions: constants.SSL_OP_NO_TICKET, // who resumes a session is not verified again
  };
  refused(
    `--tls-client-ca ${files.clientCa}`,
    "certificates in PEM form",
    () => new X509Certificate(options.ca as Buffer),
  );
  refused(`--tls-cert ${files.cert} and --tls-key ${files.key}`, "a certificate and its key in PEM form", () =>
    createSecureContext(options),
  );
  return options;
}

function refused(what: string, expected: string, use: () => unknown): void {
  try {
    use();
  } catch (cause) {
    throw new PluginError(`loading ${what}: ${(cause as Error).message}; expected ${expected}`, { cause });
  }
}

function read(flag: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new PluginError(`loading ${flag} ${path}: ${(cause as Error).message}`, { cause });
  }
}
