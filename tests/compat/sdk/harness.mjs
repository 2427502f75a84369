// Runs checks one after the other and prints one JSON line for each: {"name", "ok", "error"?}.

import { isDeepStrictEqual } from "node:util";
import { runs } from "@trigger.dev/sdk";
import { apiClientManager } from "@trigger.dev/core/v3";

const CHECK_MS = 20_000;
const checks = [];

export const ECHO = "echo";
export const FAIL = "fail";
export const HOLD = "hold";

// For calls that are refused: a refusal that the SDK tries again would only be slow, so one attempt it is.
export const once = { retry: { maxAttempts: 1 } };

export function check(name, fn) {
  checks.push({ name, fn });
}

export function equal(actual, expected, what) {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(`${what}: expected ${shown(expected)}, got ${shown(actual)}`);
  }
}

export function holds(condition, what) {
  if (!condition) throw new Error(what);
}

export async function refused(type, status, call) {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    holds(error instanceof type, `expected ${type.name}, got ${error?.constructor?.name}: ${error?.message}`);
    equal(error.status, status, `status of ${error.message}`);
    holds(typeof error.message === "string" && !error.message.includes("\n"), "the message must be one line");
    return error;
  }
  throw new Error(`expected a refusal, got ${shown(answer)}`);
}

export function finished(handle) {
  return runs.poll(handle, { pollIntervalMs: 50 });
}

// Asks until the answer is true; the server is what changes, so there is nothing to wait on but asking.
export async function eventually(what, ask) {
  const deadline = Date.now() + CHECK_MS / 2;
  while (Date.now() < deadline) {
    const answer = await ask();
    if (answer) return answer;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`${what} did not happen`);
}

let count = 0;
export function fresh(prefix) {
  count += 1;
  return `${prefix}-${process.pid}-${count}`;
}

// Calls that the SDK makes for its own use only.
export function client() {
  return apiClientManager.clientOrThrow();
}

export async function runChecks() {
  for (const { name, fn } of checks) {
    const problem = await outcome(fn);
    console.log(JSON.stringify(problem === undefined ? { name, ok: true } : { name, ok: false, error: problem }));
  }
}

async function outcome(fn) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${CHECK_MS} ms`)), CHECK_MS);
  });
  try {
    await Promise.race([fn(), late]);
    return undefined;
  } catch (error) {
    return `${error?.message ?? error}`;
  } finally {
    clearTimeout(timer);
  }
}

function shown(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "bigint" ? `${item}n` : item)) ?? "undefined";
}
