// tasks.trigger: payloads of every type, and every option.

import { UnprocessableEntityError } from "@trigger.dev/core/v3";
import { BadRequestError, idempotencyKeys, runs, tasks } from "@trigger.dev/sdk";
import { ECHO, FAIL, check, client, equal, eventually, finished, fresh, holds, once, refused } from "./harness.mjs";

const VALUES = {
  object: { text: "a", list: [1, 2.5, { deep: null }], yes: true, no: false },
  "empty object": {},
  list: [1, "two", [3]],
  string: "just text",
  "empty string": "",
  "string that looks like JSON": '{"a": 1}',
  unicode: "naïve 😀 \" \\ \n",
  number: 1.5,
  zero: 0,
  true: true,
  false: false,
};

for (const [name, value] of Object.entries(VALUES)) {
  check(`payload: ${name}`, async () => {
    const run = await finished(await tasks.trigger(ECHO, value));
    equal(run.status, "COMPLETED", "status");
    equal(run.payload, value, "payload");
    equal(run.output, value, "output");
  });
}

check("payload: null", async () => {
  const run = await finished(await tasks.trigger(ECHO, null));
  equal(run.status, "COMPLETED", "status");
  equal(run.payload, null, "payload");
  equal(run.output ?? null, null, "output");
});

check("payload: undefined", async () => {
  const run = await finished(await tasks.trigger(ECHO, undefined));
  equal(run.status, "COMPLETED", "status");
  equal(run.payload, undefined, "payload");
  equal(run.output, undefined, "output");
});

check("payload: dates, sets, maps and big integers arrive as Python's own", async () => {
  const payload = { when: new Date(0), many: 12345678901234567890n, unique: new Set(["x"]), named: new Map([["k", 1]]) };
  const run = await finished(await tasks.trigger("kinds", payload));
  equal(run.output, { when: "datetime", many: "int", unique: "set", named: "dict" }, "kinds in Python");
  equal(run.payload.when, "1970-01-01T00:00:00.000Z", "the date as the API shows it");
});

check("payload: 100 KB", async () => {
  const text = "x".repeat(100_000);
  const run = await finished(await tasks.trigger(ECHO, { text }));
  equal(run.output, { text }, "output");
});

check("handle: id and a token that may read this run", async () => {
  const handle = await tasks.trigger(ECHO, {});
  holds(/^run_[0-9a-z]+$/.test(handle.id), `id ${handle.id}`);
  equal(handle.isCached ?? false, false, "isCached");
  const [head, body] = handle.publicAccessToken.split(".").map((part) => Buffer.from(part, "base64url").toString());
  equal(JSON.parse(head), { alg: "HS256" }, "header");
  const claims = JSON.parse(body);
  equal([claims.pub, claims.iss, claims.aud], [true, "https://id.trigger.dev", "https://api.trigger.dev"], "claims");
  holds(claims.scopes.includes(`read:runs:${handle.id}`), `scopes ${claims.scopes}`);
});

check("options: all of them are kept", async () => {
  const key = fresh("all");
  const handle = await tasks.trigger(
    ECHO,
    { all: true },
    {
      delay: "1h",
      ttl: "2h",
      tags: ["b", "a"],
      queue: `task/${ECHO}`,
      concurrencyKey: "tenant-1",
      idempotencyKey: key,
      idempotencyKeyTTL: "1h",
      maxAttempts: 2,
      maxDuration: 60,
      priority: 5,
      metadata: { progress: 0, nested: { a: [1] } },
      machine: "micro",
    },
  );
  const run = await runs.retrieve(handle.id);
  equal(run.status, "DELAYED", "status");
  equal(run.ttl, "2h", "ttl");
  equal(run.tags, ["a", "b"], "tags");
  equal(run.idempotencyKey, key, "idempotency key as it was written");
  equal(run.metadata, { progress: 0, nested: { a: [1] } }, "metadata");
  holds(Math.abs(run.delayedUntil - run.createdAt - 3_600_000) < 5_000, `delayedUntil ${run.delayedUntil}`);
  equal((await runs.list({ machine: "micro", tag: "b" })).data.map((item) => item.id), [run.id], "machine filter");
  await runs.cancel(handle.id);
});

check("options: a tag may be one string, a ttl a number, a delay a date", async () => {
  const delay = new Date(Date.now() + 3_600_000);
  const handle = await tasks.trigger(ECHO, {}, { tags: "alone", ttl: 3661, delay });
  const run = await runs.retrieve(handle.id);
  equal([run.tags, run.ttl], [["alone"], "1h1m1s"], "tags and ttl");
  equal(run.delayedUntil.getTime(), delay.getTime(), "delayedUntil");
  await runs.cancel(handle.id);
});

check("options: a delay elapses", async () => {
  const run = await finished(await tasks.trigger(ECHO, "later", { delay: "1s" }));
  equal([run.status, run.output], ["COMPLETED", "later"], "run");
  holds(run.startedAt - run.createdAt >= 950, `started after ${run.startedAt - run.createdAt} ms`);
});

check("options: a run may be fixed to a version", async () => {
  const first = await finished(await tasks.trigger(ECHO, 1));
  const run = await finished(await tasks.trigger(ECHO, 2, { version: first.version }));
  equal([run.status, run.version], ["COMPLETED", first.version], "run");
  await refused(UnprocessableEntityError, 422, () => tasks.trigger(ECHO, {}, { version: "19990101.1" }, once));
});

check("options: attempts are as many as asked for", async () => {
  const run = await finished(await tasks.trigger(FAIL, {}, { maxAttempts: 1 }));
  equal([run.status, run.attemptCount], ["FAILED", 1], "run");
});

check("options: more than ten tags, and long ones, are refused", async () => {
  const tags = Array.from({ length: 11 }, (_, number) => `tag${number}`);
  await refused(UnprocessableEntityError, 422, () => tasks.trigger(ECHO, {}, { tags }, once));
  await refused(BadRequestError, 400, () => tasks.trigger(ECHO, {}, { tags: "x".repeat(129) }, once));
});

check("task ids may hold any character", async () => {
  const id = "a b/c?";
  const handle = await tasks.trigger(id, {});
  equal((await runs.retrieve(handle.id)).taskIdentifier, id, "task id");
  await eventually("waiting for a version", async () => (await runs.retrieve(handle.id)).status === "PENDING_VERSION");
  await runs.cancel(handle.id);
});

check("idempotency: the same key gives the same run", async () => {
  const options = { idempotencyKey: fresh("same") };
  const first = await tasks.trigger(ECHO, 1, options);
  const second = await tasks.trigger(ECHO, 2, options);
  equal(second.id, first.id, "id");
  equal([first.isCached ?? false, second.isCached], [false, true], "isCached");
  const other = await tasks.trigger("kinds", {}, options);
  holds(other.id !== first.id, "a key belongs to one task");
});

check("idempotency: keys made of parts, and keys that are over", async () => {
  const idempotencyKey = await idempotencyKeys.create([fresh("part"), "b"], { scope: "global" });
  const first = await tasks.trigger(ECHO, 1, { idempotencyKey, idempotencyKeyTTL: "1s" });
  equal((await tasks.trigger(ECHO, 1, { idempotencyKey })).id, first.id, "id within the time");
  await eventually("a new run after the time", async () => (await tasks.trigger(ECHO, 1, { idempotencyKey })).id !== first.id);
});

check("idempotency: a failure gives the key back", async () => {
  const options = { idempotencyKey: fresh("failed"), maxAttempts: 1 };
  const first = await finished(await tasks.trigger(FAIL, {}, options));
  equal(first.status, "FAILED", "status");
  const second = await tasks.trigger(FAIL, {}, options);
  holds(second.id !== first.id, "a new run");
});

check("results: raw packets for other tasks", async () => {
  const text = await finished(await tasks.trigger(ECHO, "text"));
  const found = await client().getRunResult(text.id);
  equal([found.ok, found.id, found.output, found.outputType], [true, text.id, "text", "text/plain"], "text");
  const object = await finished(await tasks.trigger(ECHO, { a: 1 }));
  const other = await client().getRunResult(object.id);
  equal([JSON.parse(other.output), other.outputType], [{ a: 1 }, "application/json"], "object");
});
