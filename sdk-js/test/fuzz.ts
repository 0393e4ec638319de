import { createHash, randomInt } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { MUTATORS, makeTargets, seeds, type Target } from "./fuzz_targets.js";
import { Random } from "./mutate.js";

/*
 * Fuzzes the decoders of this SDK: node build/test/fuzz.js [TARGET…], or an input once: TARGET FILE.
 *
 * FUZZ_SECONDS: how long, for all targets together; 20 if not set. FUZZ_SEED: repeats a run; chosen and printed if not set.
 *
 * An input that finds something is written to build/fuzz/js of the repository and printed; the exit code is 1 then. Keep it as
 * test/corpus/TARGET/NAME with the fix: fuzz.test.ts runs the corpus.
 */

const FOUND = new URL("../../../build/fuzz/js/", import.meta.url);
/** An execution that takes longer is a finding, on a machine that is loaded too: inputs are small. */
const SLOW_MS = 10_000;
/** Inputs that met something new, at most. */
const MAX_KEPT = 4000;

/** An input that a target fails on. Findings of one place are taken for the same. */
export interface Finding {
  readonly target: string;
  readonly data: Buffer;
  readonly why: string;
  readonly place: string;
}

/** What fuzzing a target came to. */
export interface Run {
  executions: number;
  /** Inputs that met something new. */
  new: number;
  readonly findings: Map<string, Finding>;
}

/** What an input meets, or what it finds. */
export async function runOne(name: string, target: Target, data: Buffer): Promise<string[] | Finding> {
  const before = process.cpuUsage();
  try {
    const met = await target(data);
    const { user, system } = process.cpuUsage(before);
    if (user + system <= SLOW_MS * 1000) return met;
    const why = `it took ${(user + system) / 1000} ms of processor time; expected at most ${SLOW_MS}`;
    return { target: name, data, why, place: "slow" };
  } catch (thrown) {
    const why = thrown instanceof Error ? (thrown.stack ?? String(thrown)) : String(thrown);
    const place = /\((?:file:)?[^)]*\)/.exec(why)?.[0] ?? why.slice(0, 100);
    return { target: name, data, why, place };
  }
}

/** Runs a target on its corpus and on changed inputs, for a time or until it has run so often. */
export async function fuzz(
  name: string,
  target: Target,
  rng: Random,
  seconds: number,
  most = Number.POSITIVE_INFINITY,
): Promise<Run> {
  const corpus = seeds(name);
  const first = [...corpus];
  const mutator = MUTATORS[name] as (typeof MUTATORS)[string];
  const known = new Set<string>();
  const run: Run = { executions: 0, new: 0, findings: new Map() };
  const end = performance.now() + seconds * 1000;
  for (;;) {
    let data = first.pop();
    if (data === undefined) {
      if (run.executions >= most || performance.now() >= end) return run;
      data = rng.float() < 0.98 ? rng.pick(corpus) : Buffer.alloc(0);
      for (let i = rng.pick([1, 1, 2, 4]); i > 0; i--) data = mutator(rng, data, corpus);
    }
    run.executions++;
    const result = await runOne(name, target, data);
    if (!Array.isArray(result)) {
      if (!run.findings.has(result.place)) run.findings.set(result.place, result);
    } else if (corpus.length < MAX_KEPT && result.some((word) => !known.has(word))) {
      for (const word of result) known.add(word);
      corpus.push(data);
      run.new++;
    }
  }
}

function report({ target, data, why }: Finding): void {
  mkdirSync(FOUND, { recursive: true });
  const file = new URL(`${target}-${createHash("sha256").update(data).digest("hex").slice(0, 12)}`, FOUND);
  writeFileSync(file, data);
  const path = fileURLToPath(file);
  console.log(
    `js: ${target}: FOUND something\n${why}\ninput, also in ${path}:\n${data.toString("hex").slice(0, 4000)}`,
  );
  console.log(`again: node build/test/fuzz.js ${target} ${path}`);
}

async function main(args: readonly string[]): Promise<number> {
  const targets = await makeTargets();
  const [name = "", file = ""] = args;
  if (args.length === 2 && !(file in MUTATORS)) {
    const result = await runOne(name, targets[name] as Target, readFileSync(file));
    console.log(Array.isArray(result) ? result : result.why);
    return Array.isArray(result) ? 0 : 1;
  }
  const names = args.length > 0 ? args : Object.keys(MUTATORS);
  const seconds = Number(process.env.FUZZ_SECONDS || 20) / names.length;
  const seed = process.env.FUZZ_SEED || String(randomInt(2 ** 32));
  console.log(`js: ${names.length} targets, ${seconds.toFixed(1)} s each, FUZZ_SEED=${seed}`);
  let total = 0;
  let findings = 0;
  for (const target of names) {
    const run = await fuzz(target, targets[target] as Target, new Random(`${seed} ${target}`), seconds);
    for (const found of run.findings.values()) report(found);
    findings += run.findings.size;
    total += run.executions;
    console.log(
      `js: ${target}: ${run.executions} executions, ${run.new} inputs met something new, ${run.findings.size} findings`,
    );
  }
  console.log(`js: ${total} executions, ${findings} findings`);
  return findings > 0 ? 1 : 0;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await main(process.argv.slice(2));
