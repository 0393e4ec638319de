/*
 * PDKError          a PDK function failed; match `code`, which stays the same across copies of this package
 *   ArgError        bad_argument
 *   PhaseError      wrong_phase
 *   DataError       bad_data
 *   HostError       host_error
 * ConfigError       a plugin refuses its configuration
 * PluginError       a plugin or its module is not usable
 */

/** Stable names of the kinds of PDK errors. */
export type PDKErrorCode = "bad_argument" | "wrong_phase" | "bad_data" | "host_error";

/** What a PDK function throws when it fails. */
export class PDKError extends Error {
  /** Stable name of the kind. */
  readonly code: PDKErrorCode;
  /** Canonical name of the function, such as `service.request.set_header`. */
  readonly function: string;

  constructor(code: PDKErrorCode, fn: string, message: string, options?: ErrorOptions) {
    super(fn === "" ? `${code}: ${message}` : `${code}: ${fn}: ${message}`, options);
    this.name = new.target.name;
    this.code = code;
    this.function = fn;
  }
}

/** An argument is of another type, out of range, or not legal. */
export class ArgError extends PDKError {
  constructor(fn: string, message: string, options?: ErrorOptions) {
    super("bad_argument", fn, message, options);
  }
}

/** Not allowed in this phase, after the handler has ended, or after an exit. */
export class PhaseError extends PDKError {
  constructor(fn: string, message: string, options?: ErrorOptions) {
    super("wrong_phase", fn, message, options);
  }
}

/** The data of the request cannot answer. */
export class DataError extends PDKError {
  constructor(fn: string, message: string, options?: ErrorOptions) {
    super("bad_data", fn, message, options);
  }
}

/** The host could not answer. */
export class HostError extends PDKError {
  constructor(fn: string, message: string, options?: ErrorOptions) {
    super("host_error", fn, message, options);
  }
}

/** The PDK error of a code that came over the wire; an unknown code is a HostError. */
export function pdkErrorOf(code: string, fn: string, message: string): PDKError {
  switch (code) {
    case "bad_argument":
      return new ArgError(fn, message);
    case "wrong_phase":
      return new PhaseError(fn, message);
    case "bad_data":
      return new DataError(fn, message);
    case "host_error":
      return new HostError(fn, message);
    default:
      return new HostError(fn, `${code}: ${message}`);
  }
}

/** Throw it from the constructor or from `configure` to refuse one field of a configuration. */
export class ConfigError extends Error {
  readonly code = "bad_config";
  /** Dotted path of the field, such as `limits.0.name`; empty for the whole configuration. */
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "ConfigError";
    this.path = path;
  }
}

/** A plugin, its module or the way it is served is not usable. */
export class PluginError extends Error {
  readonly code = "bad_plugin";

  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "PluginError";
  }
}
