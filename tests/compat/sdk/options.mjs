// Debounce, reschedule, keys given up, replays with changes and bulk actions.

import { ApiError, NotFoundError, UnprocessableEntityError } from "@trigger.dev/core/v3";
import { idempotencyKeys, runs, tasks } from "@trigger.dev/sdk";
import { ECHO, HOLD, check, equal, eventually, finished, fresh, holds, once, refused } from "./harness.mjs";

const late = (options = {}) => tasks.trigger(ECHO, 1, { delay: "1h", ...options });

check("debounce: triggers of one key become one run", async () => {
  const debounce = { key: fresh("quiet"), delay: "1s", mode: "trailing", maxDelay: "1m" };
  const first = await tasks.trigger(ECHO, "first", { debounce });
  const second = await tasks.trigger(ECHO, "second", { debounce });
  equal([second.id, second.isCached ?? false], [first.id, false], "the run");
  equal((await finished(first)).output, "second", "the newest payload");
});

check("debounce: spans that leave no room are refused", async () => {
  const debounce = { key: fresh("quiet"), delay: "1m", maxDelay: "1m" };
  await refused(UnprocessableEntityError, 422, () => tasks.trigger(ECHO, 1, { debounce }, once));
});

check("reschedule: a delayed run starts at another time", async () => {
  const { id } = await late();
  const moved = await runs.reschedule(id, { delay: new Date(Date.now() + 7_200_000) });
  equal(moved.status, "DELAYED", "status");
  holds(moved.delayedUntil > new Date(Date.now() + 7_000_000), `delayedUntil ${moved.delayedUntil}`);
  await runs.reschedule(id, { delay: "1s" });
  equal((await finished(id)).output, 1, "output");
  await refused(UnprocessableEntityError, 422, () => runs.reschedule(id, { delay: "1h" }, once));
});

check("idempotency: a key is given up", async () => {
  const text = fresh("again");
  const idempotencyKey = await idempotencyKeys.create(text, { scope: "global" });
  const first = await late({ idempotencyKey });
  equal((await idempotencyKeys.reset(ECHO, text, { scope: "global" })).id, `${idempotencyKey}`, "the key");
  holds((await late({ idempotencyKey })).id !== first.id, "a new run");
  await refused(NotFoundError, 404, () => idempotencyKeys.reset(ECHO, fresh("unknown"), { scope: "global" }, once));
});

check("replay: with another payload", async () => {
  const first = await finished(await tasks.trigger(ECHO, { a: 1 }, { tags: ["kept"] }));
  const again = await finished((await runs.replay(first.id, { payload: { a: 2 } })).id);
  equal([again.output, again.tags], [{ a: 2 }, ["kept"]], "output and tags");
});

check("bulk: the runs of a filter are cancelled", async () => {
  const tag = fresh("bulk");
  const meant = [await late({ tags: [tag] }), await late({ tags: [tag] })].map((handle) => handle.id);
  const made = await runs.bulk.cancel({ filter: { tag, status: "DELAYED" }, name: "all of them" });
  const done = await runs.bulk.poll(made.id, { pollIntervalMs: 50 });
  equal([done.status, done.type, done.name], ["COMPLETED", "CANCEL", "all of them"], "facts");
  equal(done.counts, { total: 2, success: 2, failure: 0 }, "counts");
  for (const id of meant) equal((await runs.retrieve(id)).status, "CANCELED", "status");
  const touched = (await runs.list({ bulkAction: made.id })).data.map((run) => run.id);
  equal(touched, [...meant].reverse(), "listed by it");
});

check("bulk: named runs are replayed, and a page lists the actions", async () => {
  const first = await finished(await tasks.trigger(ECHO, "again"));
  const made = await runs.bulk.replay({ runIds: [first.id] });
  equal((await runs.bulk.poll(made.id, { pollIntervalMs: 50 })).counts, { total: 1, success: 1, failure: 0 }, "counts");
  const [newest] = (await runs.bulk.list({ limit: 1 })).data;
  equal([newest.id, newest.type, newest.status], [made.id, "REPLAY", "COMPLETED"], "newest");
  const replayed = (await runs.list({ bulkAction: made.id })).data.find((run) => run.id !== first.id);
  equal((await finished(replayed.id)).output, "again", "output");
});

check("bulk: what has ended cannot be cancelled, and what is over not aborted", async () => {
  const held = await tasks.trigger(HOLD, {});
  const over = await finished(await tasks.trigger(ECHO, 1));
  const made = await runs.bulk.cancel({ runIds: [held.id, over.id] });
  equal((await runs.bulk.poll(made.id, { pollIntervalMs: 50 })).counts, { total: 2, success: 1, failure: 1 }, "counts");
  await eventually("the cancel", async () => (await runs.retrieve(held.id)).isCancelled);
  await refused(UnprocessableEntityError, 422, () => runs.bulk.abort(made.id, once));
  await refused(ApiError, 404, () => runs.bulk.retrieve("bulk_unknown", once));
});
