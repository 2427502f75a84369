// runs: retrieve, poll, list, cancel, replay, result.

import { runs, tasks } from "@trigger.dev/sdk";
import { ECHO, FAIL, HOLD, check, client, equal, eventually, finished, fresh, holds } from "./harness.mjs";

async function ids(query) {
  return (await runs.list(query)).data.map((run) => run.id);
}

check("retrieve: a finished run", async () => {
  const handle = await tasks.trigger(ECHO, { a: 1 }, { tags: ["z", "y"], metadata: { m: 1 } });
  const polled = await finished(handle);
  const run = await runs.retrieve(handle);
  equal(run.id, polled.id, "id");
  equal([run.taskIdentifier, run.status, run.attemptCount, run.depth], [ECHO, "COMPLETED", 1, 0], "facts");
  equal([run.isQueued, run.isExecuting, run.isWaiting, run.isCompleted], [false, false, false, true], "states");
  equal([run.isSuccess, run.isFailed, run.isCancelled, run.isTest], [true, false, false, false], "outcome");
  equal([run.tags, run.metadata, run.triggerFunction], [["y", "z"], { m: 1 }, "trigger"], "what came with it");
  equal([run.costInCents, run.baseCostInCents, run.error], [0, 0, undefined], "cost and error");
  for (const name of ["createdAt", "updatedAt", "startedAt", "finishedAt"]) {
    holds(run[name] instanceof Date && Math.abs(run[name] - Date.now()) < 60_000, `${name} is ${run[name]}`);
  }
  equal([run.delayedUntil, run.expiredAt, run.ttl, run.idempotencyKey], [undefined, undefined, undefined, undefined], "absent");
  holds(/^\d{8}\.\d+$/.test(run.version), `version ${run.version}`);
  equal(run.relatedRuns, {}, "related runs");
});

check("retrieve: a run that failed shows its error", async () => {
  const run = await finished(await tasks.trigger(FAIL, {}, { maxAttempts: 1 }));
  equal([run.status, run.isFailed, run.isSuccess, run.output], ["FAILED", true, false, undefined], "run");
  equal([run.error.name, run.error.message], ["ValueError", "it failed on purpose"], "error");
  holds(run.error.stackTrace.includes("ValueError: it failed on purpose"), "stack trace");
});

check("retrieve: a run that crashed shows why", async () => {
  const run = await finished(await tasks.trigger("crash", {}, { maxAttempts: 1 }));
  equal([run.status, run.isCompleted, run.isFailed], ["CRASHED", true, true], "run");
  holds(run.error.message.length > 0, "message");
});

check("retrieve: a payload that does not fit names the place", async () => {
  const run = await finished(await tasks.trigger("typed", { count: "many" }));
  equal([run.status, run.attemptCount], ["FAILED", 1], "not tried again");
  holds(run.error.message.includes("TASK_INPUT_ERROR") || run.error.message.includes("count"), run.error.message);
});

check("list: pages follow each other, forth and back", async () => {
  const tag = fresh("pages");
  const made = [];
  for (let number = 0; number < 5; number += 1) made.unshift((await tasks.trigger(ECHO, number, { tags: [tag] })).id);
  const first = await runs.list({ tag, limit: 2 });
  equal(first.data.map((run) => run.id), made.slice(0, 2), "first page");
  holds(first.hasNextPage() && !first.hasPreviousPage(), "the first page has a next one only");
  const second = await first.getNextPage();
  equal(second.data.map((run) => run.id), made.slice(2, 4), "second page");
  equal((await second.getPreviousPage()).data.map((run) => run.id), made.slice(0, 2), "back to the first");
  const third = await second.getNextPage();
  equal([third.data.map((run) => run.id), third.hasNextPage()], [made.slice(4), false], "last page");
  const all = [];
  for await (const run of runs.list({ tag, limit: 2 })) all.push(run.id);
  equal(all, made, "all of them");
});

check("list: items have what single runs have", async () => {
  const tag = fresh("item");
  const run = await finished(await tasks.trigger(ECHO, {}, { tags: [tag], metadata: { m: 1 }, ttl: "1h" }));
  const [item] = (await runs.list({ tag })).data;
  equal([item.id, item.status, item.tags, item.metadata, item.ttl], [run.id, "COMPLETED", [tag], { m: 1 }, "1h"], "item");
  equal([item.env.name, typeof item.env.id, item.version], ["prod", "string", run.version], "environment and version");
  equal([item.createdAt, item.finishedAt], [run.createdAt, run.finishedAt], "times");
});

check("list: every filter narrows", async () => {
  const tag = fresh("filter");
  const before = new Date(Date.now() - 1_000);
  const done = (await finished(await tasks.trigger(ECHO, {}, { tags: [tag, "any"], machine: "micro" }))).id;
  const late = (await tasks.trigger(FAIL, {}, { tags: [tag], delay: "1h" })).id;
  const both = [late, done];
  const { version } = await runs.retrieve(done);
  const queries = [
    [{}, both],
    [{ status: "COMPLETED" }, [done]],
    [{ status: ["DELAYED", "COMPLETED"] }, both],
    [{ taskIdentifier: FAIL }, [late]],
    [{ taskIdentifier: [FAIL, ECHO] }, both],
    [{ version }, [done]],
    [{ machine: "micro" }, [done]],
    [{ queue: { type: "task", name: FAIL } }, [late]],
    [{ queue: { type: "custom", name: "no-such-queue" } }, []],
    [{ isTest: false }, both],
    [{ isTest: true }, []],
    [{ from: before }, both],
    [{ to: before }, []],
    [{ from: before.getTime(), to: Date.now() + 60_000 }, both],
    [{ period: "1d" }, both],
  ];
  for (const [query, expected] of queries) equal(await ids({ tag, ...query }), expected, JSON.stringify(query));
  equal(await ids({ tag: [tag, "no-such-tag"] }), both, "any of the tags");
  await runs.cancel(late);
});

check("cancel: delayed, executing, finished", async () => {
  const late = await tasks.trigger(ECHO, {}, { delay: "1h" });
  equal((await runs.cancel(late.id)).id, late.id, "answer");
  const canceled = await runs.retrieve(late.id);
  equal([canceled.status, canceled.isCancelled, canceled.isCompleted], ["CANCELED", true, true], "delayed");
  equal(canceled.error.message, "Canceled by user", "reason");

  const held = await tasks.trigger(HOLD, {});
  await eventually("executing", async () => (await runs.retrieve(held.id)).status === "EXECUTING");
  await runs.cancel(held.id);
  equal((await runs.retrieve(held.id)).status, "CANCELED", "executing");
  await eventually("the worker's word", async () => (await runs.retrieve(held.id)).finishedAt);

  const done = await finished(await tasks.trigger(ECHO, {}));
  await runs.cancel(done.id);
  equal((await runs.retrieve(done.id)).status, "COMPLETED", "finished");
});

check("replay: the same again, or with changes", async () => {
  const first = await finished(await tasks.trigger(ECHO, { v: 1 }, { tags: ["r"], metadata: { n: 1 }, machine: "micro" }));
  const again = await finished(await runs.replay(first.id));
  holds(again.id !== first.id, "a new run");
  equal([again.output, again.tags, again.metadata], [{ v: 1 }, ["r"], { n: 1 }], "the same");
  const changed = await finished(await runs.replay(first.id, { payload: { v: 2 }, tags: ["x"], metadata: { n: 2 } }));
  equal([changed.output, changed.tags, changed.metadata], [{ v: 2 }, ["x"], { n: 2 }], "with changes");
});

check("result: finished, failed, not yet", async () => {
  const done = await finished(await tasks.trigger(ECHO, { a: 1 }));
  const found = await client().getRunResult(done.id);
  equal([found.ok, found.taskIdentifier], [true, ECHO], "finished");
  const broken = await finished(await tasks.trigger(FAIL, {}, { maxAttempts: 1 }));
  const error = await client().getRunResult(broken.id);
  equal([error.ok, error.error.type, error.error.message], [false, "BUILT_IN_ERROR", "it failed on purpose"], "failed");
  const late = await tasks.trigger(ECHO, {}, { delay: "1h" });
  equal(await client().getRunResult(late.id), undefined, "not yet");
  await runs.cancel(late.id);
});
