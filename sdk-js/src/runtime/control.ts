import { randomBytes } from "node:crypto";
import { create, type DescMessage, type DescService, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  type handleUnaryCall,
  Server,
  type ServiceDefinition,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { EmptySchema, GRPCController } from "../gen/proto/goplugin/grpc_controller_pb.js";
import {
  type ConfigureRequest,
  ConfigureResponseSchema,
  type DescribeRequest,
  DescribeResponseSchema,
  type DrainRequest,
  DrainResponseSchema,
  PluginServer,
  type ReleaseRequest,
  ReleaseResponseSchema,
} from "../gen/proto/outrigger/plugin/v1/plugin_pb.js";
import type { AnyPlugin } from "../plugin.js";
import { SDK_LANGUAGE, SDK_VERSION } from "../version.js";
import { chooseVersion, MIN_VERSION, VERSION } from "./frame.js";
import { type DispatchStream, GrpcLane } from "./grpc_lane.js";
import { type Health, healthDefinition } from "./health.js";
import { type Instances, instanceId, StillHanging } from "./instances.js";
import type { Lane } from "./lane.js";
import { describeThrown, isA } from "./log_text.js";

/** Room for one frame's worth of message and its envelope. */
const MAX_MESSAGE = 17 << 20;

/** Where the data plane of carrier msgpack listens. */
export interface DataAddress {
  readonly network: "unix" | "tcp";
  readonly address: string;
  readonly token: Uint8Array;
}

export function makeToken(): Buffer {
  return randomBytes(16);
}

/** What Describe says of a plugin. */
export function manifestOf(plugin: AnyPlugin): {
  name: string;
  version: string;
  priority: number;
  phases: string[];
  schema: unknown;
  authenticates: boolean;
  needs: string[];
} {
  const { name, version, priority, phases, schema, authenticates, needs } = plugin;
  return { name, version, priority, phases: [...phases], schema, authenticates, needs: [...needs] };
}

/** What the control plane needs of the server around it. */
export interface ControlOptions {
  readonly instances: Instances;
  readonly data: DataAddress;
  readonly health: Health;
  /** Told of lanes of carrier grpc. */
  readonly onLane: (lane: Lane, closed: Promise<void>) => void;
  /** GRPCController.Shutdown was called. */
  readonly onShutdown: () => void;
}

/** The gRPC server with the control plane, health, go-plugin's controller, and carrier grpc. */
export function controlServer(options: ControlOptions): Server {
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE,
    "grpc.max_send_message_length": MAX_MESSAGE,
  });
  server.addService(definitionOf(PluginServer), pluginServer(options));
  server.addService(definitionOf(GRPCController), {
    Shutdown: unary(async () => {
      setImmediate(options.onShutdown); // the answer goes first
      return create(EmptySchema);
    }),
  });
  server.addService(healthDefinition, options.health.service());
  return server;
}

function pluginServer({ instances, data, onLane }: ControlOptions): UntypedServiceImplementation {
  return {
    Describe: unary(async (request: DescribeRequest) =>
      create(DescribeResponseSchema, {
        protocolVersion: chooseVersion(request.minProtocolVersion, request.protocolVersion),
        minProtocolVersion: MIN_VERSION,
        maxProtocolVersion: VERSION,
        sdkLanguage: SDK_LANGUAGE,
        sdkVersion: SDK_VERSION,
        plugins: [...instances.plugins.values()].map((plugin) => {
          const { schema, ...manifest } = manifestOf(plugin);
          return { ...manifest, configSchema: Buffer.from(JSON.stringify(schema)) };
        }),
        dataPlanes: [
          { carrier: "msgpack", network: data.network, address: data.address, token: data.token },
          { carrier: "grpc" },
        ],
        lanes: 1,
        overlapping: true,
        pid: process.pid,
      }),
    ),
    Configure: unary(async (request: ConfigureRequest, gone) => {
      const { plugin, config, recordId } = request;
      const errors = await instances.configure(instanceId(request.instanceId), plugin, config, recordId, gone);
      return create(ConfigureResponseSchema, { errors });
    }),
    Release: unary(async (request: ReleaseRequest) => {
      await instances.release(request.instanceIds.map(instanceId));
      return create(ReleaseResponseSchema);
    }),
    Drain: unary(async (request: DrainRequest) => {
      const drained = await within(instances.idle(), request.timeoutMs);
      return create(DrainResponseSchema, { drained });
    }),
    Dispatch: (stream: DispatchStream) => {
      const closed = new Promise<void>((resolve) => stream.once("close", resolve));
      onLane(new GrpcLane(stream, instances).lane, closed);
    },
  };
}

/** Whether a promise resolves within a time. */
export async function within(promise: Promise<unknown>, milliseconds: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, milliseconds, false);
  });
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A unary method as an async function. It is told when nobody waits for the answer any more. */
function unary<Q, A>(handle: (request: Q, gone: AbortSignal) => Promise<A>): handleUnaryCall<Q, A> {
  return (call, callback) => {
    const gone = new AbortController();
    call.once("cancelled", () => gone.abort());
    handle(call.request, gone.signal).then(
      (answer) => callback(null, answer),
      (reason: unknown) => {
        const code = isA(reason, StillHanging) ? status.UNAVAILABLE : status.INTERNAL;
        callback({ code, details: describeThrown(reason).message });
      },
    );
  };
}

function bytesOf(schema: DescMessage, message: Message): Buffer {
  const bytes = toBinary(schema, message);
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A generated service in the form of grpc-js. */
export function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => {
      const { input, output, methodKind } = method;
      return [
        method.name,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: methodKind === "client_streaming" || methodKind === "bidi_streaming",
          responseStream: methodKind === "server_streaming" || methodKind === "bidi_streaming",
          requestSerialize: (message: Message) => bytesOf(input, message),
          requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes),
          responseSerialize: (message: Message) => bytesOf(output, message),
          responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes),
        },
      ];
    }),
  );
}
