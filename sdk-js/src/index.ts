/** Plugins for the Outrigger API gateway. */

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
  type Captures,
  type Consumer,
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
  type Route,
  type Service,
} from "./values.js";
