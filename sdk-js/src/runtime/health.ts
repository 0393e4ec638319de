import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type ServiceDefinition, status, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { PluginServer } from "../gen/proto/outrigger/plugin/v1/plugin_pb.js";

interface HealthRequest {
  readonly service: string;
}

/** grpc.health.v1: a message each way with one field. grpc-js takes an empty text for no message, so it travels in an object. */
const healthCodec = {
  requestSerialize: ({ service }: HealthRequest) =>
    Buffer.from(new BinaryWriter().tag(1, WireType.LengthDelimited).string(service).finish()),
  requestDeserialize: (bytes: Buffer): HealthRequest => {
    const reader = new BinaryReader(bytes);
    let service = "";
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.LengthDelimited) service = reader.string();
      else reader.skip(wireType);
    }
    return { service };
  },
  responseSerialize: (serving: number) =>
    Buffer.from(new BinaryWriter().tag(1, WireType.Varint).int32(serving).finish()),
  responseDeserialize: (bytes: Buffer): number => {
    const reader = new BinaryReader(bytes);
    let serving = 0;
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      if (field === 1 && wireType === WireType.Varint) serving = reader.int32();
      else reader.skip(wireType);
    }
    return serving;
  },
};

export const healthDefinition = {
  Check: { path: "/grpc.health.v1.Health/Check", requestStream: false, responseStream: false, ...healthCodec },
  Watch: { path: "/grpc.health.v1.Health/Watch", requestStream: false, responseStream: true, ...healthCodec },
} as const satisfies ServiceDefinition;

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;
const SERVED: readonly string[] = ["", "plugin", PluginServer.typeName];

/** The server's side of a Watch stream. */
interface WatchStream {
  readonly request: HealthRequest;
  write(serving: number): void;
  end(): void;
  on(event: string, f: () => void): void;
}

/** The health of a server: serving until leave. Who watches hears of that at once. */
export class Health {
  readonly #watching = new Set<WatchStream>();
  #serving = SERVING;

  /** Whether somebody watches. */
  get watched(): boolean {
    return this.#watching.size > 0;
  }

  /** Says from now on that the server does not serve. */
  leave(): void {
    this.#serving = NOT_SERVING;
    for (const stream of this.#watching) stream.write(NOT_SERVING);
  }

  service(): UntypedServiceImplementation {
    return {
      Check: (call: { request: HealthRequest }, callback: (error: object | null, answer?: number) => void) => {
        if (SERVED.includes(call.request.service)) callback(null, this.#serving);
        else
          callback({
            code: status.NOT_FOUND,
            details: `service ${JSON.stringify(call.request.service)} is not served here`,
          });
      },
      // The stream stays open until the client ends it.
      Watch: (stream: WatchStream) => {
        const served = SERVED.includes(stream.request.service);
        if (served) this.#watching.add(stream);
        stream.on("cancelled", () => {
          this.#watching.delete(stream);
          stream.end();
        });
        stream.write(served ? this.#serving : SERVICE_UNKNOWN);
      },
    };
  }
}
