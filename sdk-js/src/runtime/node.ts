import { BlockList, isIP } from "node:net";

/** What the host says of itself in its hello; docs/wire.md section 4. */
export interface HostHello {
  readonly version: number;
  readonly nodeId: string;
  readonly hostname: string;
  readonly gatewayVersion: string;
  readonly trustedCidrs: readonly string[];
  /** Lines below it are not sent: 0 debug to 7 emerg. */
  readonly logLevel: number;
  /** Largest body, in bytes; 0: no limit. */
  readonly maxBody: number;
  /** Largest ctx.shared, in bytes of encoded keys and values; 0: no limit. */
  readonly maxShared: number;
  /** null, or empty: there is none. */
  readonly clusterId: string | null;
  /** Whether telemetry.log may be used. */
  readonly telemetryLogs: boolean;
}

/** The gateway node as the PDK sees it. */
export class Node {
  readonly id: string;
  readonly hostname: string;
  readonly logLevel: number;
  readonly maxBody: number;
  readonly maxShared: number;
  readonly version: string;
  readonly clusterId: string | null;
  readonly telemetryLogs: boolean;
  readonly #trusted = new BlockList();

  constructor(hello: HostHello) {
    this.id = hello.nodeId;
    this.hostname = hello.hostname;
    this.logLevel = hello.logLevel;
    this.maxBody = hello.maxBody;
    this.maxShared = hello.maxShared;
    this.version = hello.gatewayVersion;
    this.clusterId = hello.clusterId || null;
    this.telemetryLogs = hello.telemetryLogs;
    for (const cidr of hello.trustedCidrs) this.#trust(cidr);
  }

  #trust(cidr: string): void {
    const [address = "", bits] = cidr.split("/");
    const version = isIP(address);
    if (version === 0) return; // "unix:" and the like name no address
    const prefix = bits === undefined ? (version === 4 ? 32 : 128) : Number(bits);
    if (!Number.isInteger(prefix) || prefix < 0 || prefix > (version === 4 ? 32 : 128)) return;
    this.#trusted.addSubnet(address, prefix, version === 4 ? "ipv4" : "ipv6");
  }

  /** Whether an address is inside trusted_ips; an IPv4 address written as IPv6 counts as IPv4. */
  isTrusted(address: string): boolean {
    const [plain = ""] = address.split("%");
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1];
    const text = mapped ?? plain;
    const version = isIP(text);
    return version !== 0 && this.#trusted.check(text, version === 4 ? "ipv4" : "ipv6");
  }
}
