import { execFile } from "node:child_process";
import { readFile, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { PluginError } from "../errors.js";
import { isKongModule, kongPlugin, nameByFile } from "../kong/module.js";
import { type AnyPlugin, checkPlugin, describe } from "../plugin.js";

const EXPECTED =
  "`export default definePlugin({…})`, an array of such, `export const plugins = […]`, or a plugin for Kong: `module.exports = {Plugin, Schema, Version, Priority}`";

/**
 * Imports plugin modules and checks what they export.
 *
 * @param paths - JavaScript files, or directories with a package.json that names one or with an index.js.
 * @throws PluginError that names file, found and expected.
 */
export async function loadPlugins(paths: readonly string[]): Promise<AnyPlugin[]> {
  const plugins: AnyPlugin[] = [];
  const origin = new Map<string, string>();
  for (const path of paths) {
    for (const plugin of await loadModule(path)) {
      const before = origin.get(plugin.name);
      if (before !== undefined) {
        throw new PluginError(
          `${path}: plugin ${JSON.stringify(plugin.name)} is also in ${before}; expected each name once`,
        );
      }
      origin.set(plugin.name, path);
      plugins.push(plugin);
    }
  }
  return plugins;
}

async function loadModule(path: string): Promise<AnyPlugin[]> {
  const file = await entryFile(path);
  let module: Record<string, unknown>;
  try {
    module = await import(pathToFileURL(file).href);
  } catch (cause) {
    const reason = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
    const hint = /(module|exports|require) is not defined in ES module scope/.test(reason)
      ? '\nFound CommonJS in a module: expected the suffix .cjs, or no "type": "module" in package.json.'
      : "";
    const place = cause instanceof SyntaxError && !/\.[cm]?js:\d/.test(reason) ? await placeOfSyntaxError(file) : "";
    // The gateway shows the last line first: it is to say what is wrong, and not where Node.js noticed.
    const last = `${path}: ${String(cause)}${place === "" ? "" : ` at ${place.slice(0, place.indexOf("\n"))}`}`;
    throw new PluginError(`${path}: importing the module failed: ${place}${reason}${hint}\n${last}`, { cause });
  }
  const kong = [module.default, module].find(isKongModule);
  if (kong !== undefined) return [checked(path, () => kongPlugin(kong, nameByFile(file)))];
  const exported = module.default ?? module.plugins ?? module.plugin;
  if (exported === undefined) {
    const names = Object.keys(module);
    const found = names.length === 0 ? "no exports" : `exports ${names.join(", ")}`;
    throw new PluginError(`${path}: found ${found}; expected ${EXPECTED}`);
  }
  const definitions: unknown[] = Array.isArray(exported) ? exported : [exported];
  if (definitions.length === 0) throw new PluginError(`${path}: found an empty array of plugins; expected ${EXPECTED}`);
  return definitions.map((definition) => checkExport(path, definition));
}

/**
 * File, line and text where the syntax of a module, or of one that it imports, breaks. import() does not say it: only Node.js itself does
 * when nobody catches the error. Empty when that says nothing either.
 */
function placeOfSyntaxError(file: string): Promise<string> {
  const script = "await import(process.argv[1])"; // modules that do not parse are not run
  const args = ["--input-type=module", "--eval", script, pathToFileURL(file).href];
  return new Promise((done) => {
    execFile(process.execPath, args, { timeout: PLACE_TIMEOUT_MS }, (_error, _stdout, stderr) => {
      const [place = "", ...rest] = stderr.split("\n");
      const end = rest.findIndex((line) => line.startsWith("SyntaxError"));
      done(/:\d+$/.test(place) && end >= 0 ? `${[place, ...rest.slice(0, end)].join("\n").trimEnd()}\n` : "");
    });
  });
}

const PLACE_TIMEOUT_MS = 10_000;

function checkExport(path: string, definition: unknown): AnyPlugin {
  if (typeof definition !== "object" || definition === null) {
    throw new PluginError(`${path}: found ${describe(definition)}; expected ${EXPECTED}`);
  }
  return checked(path, () => checkPlugin(definition));
}

/** Names the file in what is wrong with a plugin. */
function checked(path: string, check: () => AnyPlugin): AnyPlugin {
  try {
    return check();
  } catch (cause) {
    if (cause instanceof PluginError) throw new PluginError(`${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

/** The JavaScript file that a path names. */
async function entryFile(path: string): Promise<string> {
  const full = resolve(path);
  const found = await stat(full).catch((cause: NodeJS.ErrnoException) => {
    throw new PluginError(
      `${path}: found ${cause.code === "ENOENT" ? "no such file" : cause.message}; expected a plugin module`,
    );
  });
  if (/\.[cm]?tsx?$/.test(full)) {
    throw new PluginError(`${path}: found a TypeScript file; expected the JavaScript that tsc makes of it`);
  }
  if (!found.isDirectory()) return full;
  const text = await readFile(join(full, "package.json"), "utf8").catch(() => "{}");
  const main = mainOf(path, text);
  const entry = join(full, typeof main === "string" ? main : "index.js");
  await stat(entry).catch(() => {
    throw new PluginError(
      `${path}: found a directory without ${typeof main === "string" ? main : "index.js"}; expected a plugin module`,
    );
  });
  return entry;
}

/** What package.json names as the module of its directory. */
function mainOf(path: string, text: string): unknown {
  try {
    return (JSON.parse(text) as { main?: unknown } | null)?.main;
  } catch (cause) {
    throw new PluginError(`${join(path, "package.json")}: found no JSON: ${(cause as Error).message}`, { cause });
  }
}
