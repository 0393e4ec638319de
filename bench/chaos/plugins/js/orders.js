// What the header X-Chaos can order. See README.md beside this directory.
import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { basename, dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** The orders by their word. */
export const orders = { none() {}, hang, fail, die, raw, hog, bomb, descriptors, log };

async function hang(ms) {
  await delay(Number(ms));
}

function fail() {
  throw new Error("ordered to fail");
}

function die() {
  process.reallyExit(3);
}

/** Writes bytes that nobody expects to the host. */
function raw(which, head, kib) {
  const bytes = Buffer.concat([Buffer.from(head, "hex"), Buffer.alloc(Number(kib) << 10)]);
  for (const fd of connections(which)) {
    try {
      writeSync(fd, bytes);
    } catch {} // the host may have closed it, or its buffer may be full
  }
}

/** The descriptors of the connections of one socket in the run directory: control, or the one for calls. */
function connections(which) {
  const control = `js-${process.pid}.sock`;
  const paths = connected();
  const found = [];
  for (const entry of readdirSync("/proc/self/fd")) {
    let target;
    try {
      target = readlinkSync(`/proc/self/fd/${entry}`);
    } catch {
      continue; // closed since
    }
    const path = paths.get(target.replace(/^socket:\[(\d+)\]$/, "$1"));
    if (path !== undefined && (basename(path) === control) === (which === "control")) found.push(Number(entry));
  }
  return found;
}

/** The paths of the connected sockets in the run directory, by inode. */
function connected() {
  const paths = new Map();
  for (const line of readFileSync("/proc/net/unix", "utf8").split("\n")) {
    const fields = line.trim().split(/\s+/); // address, references, protocol, flags, type, state, inode, path
    if (fields.length === 8 && fields[5] === "03" && dirname(fields[7]) === process.env.OUTRIGGER_RUN_DIR) {
      paths.set(fields[6], fields[7]);
    }
  }
  return paths;
}

const step = 8 << 20; // what hog takes at a time, bytes

function hog(mib, ms) {
  const taken = [];
  for (let i = 0; i < (Number(mib) << 20) / step; i++) taken.push(Buffer.alloc(step, 1));
  setTimeout(() => taken.splice(0), Number(ms)).unref();
}

function bomb(n) {
  for (let i = 0; i < Number(n); i++) {
    spawn("sh", ["-c", "sleep 300 & sleep 300 & wait"], { stdio: "ignore" }).on("error", () => {});
  }
}

function descriptors(ms) {
  const taken = [];
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch {
    setTimeout(() => {
      for (const fd of taken) closeSync(fd);
    }, Number(ms)).unref();
  }
}

function log() {
  const fd = openSync("/dev/full", "w");
  try {
    writeSync(fd, "a line\n");
  } finally {
    closeSync(fd);
  }
}
