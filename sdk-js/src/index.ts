/** Plugins for the Outrigger API gateway. */

export type { ConfigOf } from "./config/infer.js";
export type { KongField, KongSchema } from "./config/kong_schema.js";
export {
  ArgError,
  ConfigError,
  DataError,
  HostError,
  PDKError,
  type PDKErrorCode,
  PhaseError,
  PluginError,
} from "./errors.js";
export type { PDK } from "./gen/pdk.js";
export { type KongModule, kongPlugin } from "./kong/module.js";
export type { KongPDK } from "./kong/pdk.js";
export {
  type AnyPlugin,
  type ConfigSchema,
  definePlugin,
  type FilteredBody,
  type Handlers,
  type InstanceClass,
  type MaybeAsync,
  type Need,
  type PhaseName,
  type Plugin,
  type PluginDefinition,
} from "./plugin.js";
export {
  type Body,
  type Captures,
  type Consumer,
  type ConsumerGroup,
  type ConsumerGroups,
  type Credential,
  type ExitBody,
  type HeaderMap,
  type HeaderValue,
  MultiMap,
  Query,
  type QueryMap,
  type QueryParam,
  type QueryScalar,
  type QueryValue,
  type Ref,
  type Reference,
  type Route,
  type Service,
  Span,
  type SpanEvent,
  type SpanStatus,
} from "./values.js";
