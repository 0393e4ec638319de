import { writeSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { PluginError } from "./errors.js";
import { type Address, hostPort, parseListen, unixAddress } from "./runtime/address.js";
import { Certificates } from "./runtime/certificates.js";
import { manifestOf } from "./runtime/control.js";
import { VERSION } from "./runtime/frame.js";
import { loadPlugins } from "./runtime/loader.js";
import { describeThrown } from "./runtime/log_text.js";
import { PluginServer } from "./server.js";
import { SDK_LANGUAGE, SDK_VERSION } from "./version.js";

/** The value of OUTRIGGER_PLUGIN by which a server knows that the host started it; docs/wire.md section 9. */
const COOKIE = "82f1b1a5c0d94e1f";

const USAGE = `outrigger-js ${SDK_VERSION}: plugin server of the Outrigger API gateway

  outrigger-js serve PATH [PATH...] [--listen ADDRESS] [--listen-data ADDRESS]
                     [--tls-cert FILE --tls-key FILE --tls-client-ca FILE]
  outrigger-js describe PATH [PATH...]

PATH is a JavaScript module that exports a plugin, or several. serve without --listen is for the gateway, which starts
plugin servers by the setting plugin_servers; with --listen it can be attached to at unix:///path or tcp://host:port. The
data plane is at --listen-data, or beside it. Off loopback both need TLS: the certificate and the key of this server, and
the certificates that gateways must be signed by, as PEM files.
`;

/** Options with a value. */
const OPTIONS = ["listen", "listen-data", "tls-cert", "tls-key", "tls-client-ca"] as const;

type Options = { [name in (typeof OPTIONS)[number]]?: string };

/** Runs the launcher. It sets the exit code, or ends the process. */
export async function main(args: readonly string[]): Promise<void> {
  const print = redirectStdout();
  try {
    await run(args, print);
  } catch (thrown) {
    if (!(thrown instanceof PluginError)) throw thrown;
    process.stderr.write(`outrigger-js: ${thrown.message}\n`);
    process.exit(1);
  }
}

async function run(args: readonly string[], print: (text: string) => void): Promise<void> {
  const [command, ...rest] = args;
  if (command === "--help" || command === "help") return print(USAGE);
  if (command === "--version" || command === "version") return print(`${SDK_VERSION}\n`);
  const { paths, options } = parseArgs(rest);
  if (command !== "serve" && command !== "describe") {
    const found = command === undefined ? "no command" : `command ${JSON.stringify(command)}`;
    throw new PluginError(`found ${found}; expected serve or describe\n${USAGE}`);
  }
  if (paths.length === 0) throw new PluginError(`${command}: found no PATH; expected a plugin module\n${USAGE}`);
  if (command === "describe") return describePlugins(paths, print);
  await serve(paths, options, print);
}

function parseArgs(args: readonly string[]): { paths: string[]; options: Options } {
  const paths: string[] = [];
  const options: Options = {};
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] as string;
    if (!arg.startsWith("-")) {
      paths.push(arg);
      continue;
    }
    const [flag = "", value] = arg.split(/=(.*)/s);
    const name = OPTIONS.find((option) => flag === `--${option}`);
    if (name === undefined) {
      const known = OPTIONS.map((option) => `--${option}`).join(", ");
      throw new PluginError(`found option ${JSON.stringify(arg)}; expected ${known}`);
    }
    options[name] = value ?? args[++i] ?? "";
  }
  return { paths, options };
}

/** The certificates that the options name; undefined when they name none. */
function certificatesOf(options: Options): Certificates | undefined {
  const { "tls-cert": cert, "tls-key": key, "tls-client-ca": clientCa } = options;
  if (!cert && !key && !clientCa) return undefined;
  if (!cert || !key || !clientCa) throw new PluginError("--tls-cert, --tls-key and --tls-client-ca belong together");
  return new Certificates({ cert, key, clientCa }, (message) => process.stderr.write(`outrigger-js: ${message}\n`));
}

/**
 * Sends what is written to standard output to standard error from now on: the host reads only the handshake there. Answers a
 * function that writes to the original.
 */
function redirectStdout(): (text: string) => void {
  Object.defineProperty(process, "stdout", { configurable: true, enumerable: true, get: () => process.stderr });
  process.stderr.on("error", () => {}); // whoever read it is gone: that is no reason to end
  return (text) => {
    for (let bytes = Buffer.from(text); bytes.length > 0; ) bytes = bytes.subarray(writeSync(1, bytes));
  };
}

async function describePlugins(paths: readonly string[], print: (text: string) => void): Promise<void> {
  const plugins = (await loadPlugins(paths)).map((plugin) => {
    const { schema, ...manifest } = manifestOf(plugin);
    return { ...manifest, config_schema: schema };
  });
  const description = { protocol_version: VERSION, sdk_language: SDK_LANGUAGE, sdk_version: SDK_VERSION, plugins };
  print(`${JSON.stringify(description, null, 2)}\n`);
  process.exit(0); // whatever timers the modules have started
}

async function serve(paths: readonly string[], options: Options, print: (text: string) => void): Promise<void> {
  const { listen } = options;
  const managed = process.env.OUTRIGGER_PLUGIN === COOKIE && listen === undefined;
  if (!managed && listen === undefined) {
    throw new PluginError(
      "this is a plugin server of the Outrigger API gateway, which starts it by the setting plugin_servers; to attach to it, " +
        "start it with --listen unix:///path or tcp://127.0.0.1:port",
    );
  }
  const address = listen === undefined ? managedAddress() : parseListen(listen);
  const where = options["listen-data"];
  const data = managed || where === undefined ? undefined : parseListen(where, "--listen-data");
  const certificates = managed ? undefined : certificatesOf(options);
  if (managed) watchLifeline();
  const plugins = await loadPlugins(paths);
  const server = await PluginServer.start(plugins, address, () => void end(server), { data, certificates });
  server.guard();
  process.on("exit", () => {
    server.lastWords();
    server.removeSockets();
  });
  process.on("SIGTERM", () => void end(server));
  // Of a managed server the host decides when it ends; the terminal's Ctrl-C is for the host.
  process.on("SIGINT", () => (managed ? undefined : void end(server)));
  if (managed) print(`1|1|unix|${address.network === "unix" ? address.path : ""}|grpc\n`);
  else
    process.stderr.write(`outrigger-js: serving ${plugins.map((p) => p.name).join(", ")} at ${show(server.address)}\n`);
}

async function end(server: PluginServer): Promise<void> {
  try {
    await server.close();
  } catch (thrown) {
    process.stderr.write(`outrigger-js: ending in order failed: ${describeThrown(thrown).detail}\n`);
    process.exit(1); // it takes no lanes any more
  }
  process.exit(0);
}

function show(address: Address): string {
  return address.network === "unix" ? `unix://${address.path}` : `tcp://${hostPort(address.host, address.port)}`;
}

function managedAddress(): Address {
  const dir = process.env.OUTRIGGER_RUN_DIR;
  if (dir === undefined || dir === "") {
    throw new PluginError("OUTRIGGER_RUN_DIR: found nothing; expected the directory for sockets that the host names");
  }
  return unixAddress(join(dir, `js-${process.pid}.sock`));
}

/** Ends the process at once when the host is gone: then the other end of the pipe is closed. */
function watchLifeline(): void {
  const text = process.env.OUTRIGGER_LIFELINE_FD;
  if (text === undefined || text === "") return;
  const fd = Number(text);
  if (!Number.isInteger(fd) || fd < 3) {
    throw new PluginError(`OUTRIGGER_LIFELINE_FD: found ${JSON.stringify(text)}; expected the number of a descriptor`);
  }
  let pipe: Socket;
  try {
    pipe = new Socket({ fd, readable: true, writable: false });
  } catch (cause) {
    throw new PluginError(`OUTRIGGER_LIFELINE_FD: descriptor ${fd} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
  const gone = (): never => process.exit(0);
  pipe.on("end", gone).on("close", gone).on("error", gone).resume();
}
