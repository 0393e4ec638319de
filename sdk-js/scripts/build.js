/**
 * Builds dist without a moment in which a module of it is missing or half written: running plugin servers load from there. tsc
 * writes to a directory of its own; its files then take the places of the old ones, one by one, and what is left over goes.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
/** When make last built; no module. */
const STAMP = ".ready";

function filesOf(directory) {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(directory, join(entry.parentPath ?? entry.path, entry.name)));
}

const fresh = mkdtempSync(join(root, "node_modules", ".dist-"));
try {
  execFileSync(join(root, "node_modules", ".bin", "tsc"), ["-p", join(root, "tsconfig.json"), "--outDir", fresh], {
    stdio: "inherit",
  });
  const built = filesOf(fresh);
  mkdirSync(dist, { recursive: true });
  for (const file of built) {
    mkdirSync(dirname(join(dist, file)), { recursive: true });
    renameSync(join(fresh, file), join(dist, file));
  }
  for (const file of filesOf(dist)) {
    if (file !== STAMP && !built.includes(file)) rmSync(join(dist, file), { force: true });
  }
} catch (thrown) {
  if (thrown.status === undefined) throw thrown;
  process.exitCode = thrown.status ?? 1; // tsc has said what is wrong
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
