import { functions as F, type PdkFunction } from "../gen/functions.js";
import { Span } from "../span.js";
import { ContextCall } from "./call_context.js";
import { kindOf } from "./headers.js";
import { inspectText, LEVEL_WARN, logText } from "./log_text.js";
import { isPlainObject } from "./msgpack_write.js";
import { MODES, serializeOver } from "./serialize.js";
import { TOO_MANY_SPANS, Trace } from "./trace.js";
import { Field } from "./view.js";

/** What a handler reports: namespaces log, telemetry and tracing. */
export class LogCall extends ContextCall {
  logDebug(...args: unknown[]): void {
    this.writeLog(F.logDebug, args);
  }

  logInfo(...args: unknown[]): void {
    this.writeLog(F.logInfo, args);
  }

  logNotice(...args: unknown[]): void {
    this.writeLog(F.logNotice, args);
  }

  logWarn(...args: unknown[]): void {
    this.writeLog(F.logWarn, args);
  }

  logErr(...args: unknown[]): void {
    this.writeLog(F.logErr, args);
  }

  logCrit(...args: unknown[]): void {
    this.writeLog(F.logCrit, args);
  }

  logAlert(...args: unknown[]): void {
    this.writeLog(F.logAlert, args);
  }

  logEmerg(...args: unknown[]): void {
    this.writeLog(F.logEmerg, args);
  }

  private writeLog(fn: PdkFunction, args: readonly unknown[]): void {
    this.check(fn);
    if (fn.level < this.host.node.logLevel) return;
    this.host.log(this.id, fn.level, logText(args), this.step);
  }

  logDeprecation(message: string, after: string, removal: string): void {
    const fn = F.logDeprecation;
    this.check(fn);
    this.textArg(fn, "message", message);
    this.textArg(fn, "after", after);
    this.textArg(fn, "removal", removal);
    if (fn.level < this.host.node.logLevel) return;
    const versions = [after && `deprecated after ${after}`, removal && `scheduled for removal in ${removal}`];
    const said = versions.filter((part) => part !== "").join(", ");
    this.host.log(this.id, fn.level, said === "" ? message : `${message} (${said})`, this.step);
  }

  logInspect(...args: unknown[]): void {
    const fn = F.logInspect;
    this.check(fn);
    if (fn.level < this.host.node.logLevel) return;
    this.host.log(this.id, fn.level, args.map(inspectText).join("\n"), this.step);
  }

  logSetSerializeValue(key: string, value: unknown, mode: string): void {
    const fn = F.logSetSerializeValue;
    this.check(fn);
    this.nameArg(fn, "key", key);
    if (!MODES.includes(mode)) throw this.argError(fn, `mode ${logText([mode])} is not set, add or replace`);
    this.record({ kind: "serialize", code: fn.op, key, value: this.valueArg(fn, "value", value), mode });
  }

  async logSerialize(): Promise<string> {
    const fn = F.logSerialize;
    this.check(fn);
    const entry = this.textAnswer(fn, await this.ask(fn)) ?? "";
    try {
      return serializeOver(entry, this.ops);
    } catch (cause) {
      throw this.hostError(fn, `the log entry is no JSON object: ${logText([cause])}`);
    }
  }

  telemetryLog(
    pluginName: string,
    config: Record<string, unknown>,
    messageType: string,
    message: string,
    attributes: Record<string, unknown> | null,
  ): void {
    const fn = F.telemetryLog;
    this.check(fn);
    this.nameArg(fn, "pluginName", pluginName);
    this.mapArg(fn, "config", config);
    this.nameArg(fn, "messageType", messageType);
    this.textArg(fn, "message", message);
    if (attributes !== null) this.mapArg(fn, "attributes", attributes);
    const args = this.valueArg(fn, "config or attributes", [pluginName, config, messageType, message, attributes]);
    if (!this.host.node.telemetryLogs) throw this.dataError(fn, "the setting telemetry_logs is off");
    this.record({ kind: "generic", code: fn.op, args });
  }

  // tracing

  tracingStartSpan(name: string, attributes: Record<string, unknown> | null): Span {
    const fn = F.tracingStartSpan;
    if (typeof name !== "string") throw this.argError(fn, `name is ${kindOf(name)}; expected text`);
    if (attributes !== null && !isPlainObject(attributes)) {
      throw this.argError(fn, `attributes is ${kindOf(attributes)}; expected an object`);
    }
    if (!this.open) return new Span(name, attributes);
    const writes = this.writes();
    writes.trace ??= new Trace();
    return writes.trace.start(name, attributes) ?? this.refusedSpan(writes.trace, name, attributes);
  }

  /** A span that records nothing. The log says so once. */
  private refusedSpan(trace: Trace, name: string, attributes: Record<string, unknown> | null): Span {
    if (!trace.refused && this.host.node.logLevel <= LEVEL_WARN) {
      this.host.log(this.id, LEVEL_WARN, TOO_MANY_SPANS, this.step);
    }
    trace.refused = true;
    return new Span(name, attributes);
  }

  tracingActiveSpan(): Span | null {
    this.check(F.tracingActiveSpan);
    return this.written.trace?.active() ?? null;
  }

  tracingGetTraceparent(): string | null {
    this.check(F.tracingGetTraceparent);
    return this.view.itemText(Field.trace, 0) || null;
  }

  tracingGetTracestate(): string | null {
    this.check(F.tracingGetTracestate);
    return this.view.itemText(Field.trace, 1) || null;
  }
}
