// tasks.batchTrigger, batch.trigger and batch.retrieve: items of every kind, keys, refusals, results.

import { NotFoundError } from "@trigger.dev/core/v3";
import { batch, runs, tasks } from "@trigger.dev/sdk";
import { ECHO, FAIL, check, client, equal, eventually, fresh, holds, once, refused } from "./harness.mjs";

function whole(batchId, isIt = (found) => found.status === "COMPLETED") {
  return eventually("a complete batch", async () => {
    const found = await batch.retrieve(batchId);
    return isIt(found) && found;
  });
}

check("batch: items become runs in their order", async () => {
  const payloads = [{ n: 0 }, "text", 2, null, [4]];
  const handle = await tasks.batchTrigger(ECHO, payloads.map((payload) => ({ payload })));
  holds(/^batch_[0-9a-z]+$/.test(handle.batchId), `id ${handle.batchId}`);
  equal(handle.runCount, 5, "announced");
  holds(handle.publicAccessToken.split(".").length === 3, "token");
  const found = await whole(handle.batchId);
  equal([found.runCount, found.runs.length, found.processing.errors], [5, 5, []], "batch");
  const outputs = await Promise.all(found.runs.map(async (id) => (await runs.retrieve(id)).output ?? null));
  equal(outputs, payloads, "outputs in order");
});

check("batch: a thousand items", async () => {
  const handle = await tasks.batchTrigger(ECHO, Array.from({ length: 1000 }, (_, n) => ({ payload: { n } })));
  const found = await whole(handle.batchId);
  equal([found.runCount, new Set(found.runs).size], [1000, 1000], "runs");
});

check("batch: options of the items", async () => {
  const items = [
    { payload: 1, options: { tags: ["a", "b"], delay: "1h", metadata: { m: 1 } } },
    { payload: 2, options: { ttl: "10m", maxAttempts: 2 } },
  ];
  const handle = await tasks.batchTrigger(ECHO, items);
  const { runs: ids } = await whole(handle.batchId, (found) => found.runs.length === 2);
  const [first, second] = await Promise.all(ids.map((id) => runs.retrieve(id)));
  equal([first.tags, first.status, first.metadata], [["a", "b"], "DELAYED", { m: 1 }], "first");
  equal(second.ttl, "10m", "second");
  equal([first.batchId, first.triggerFunction], [handle.batchId, "batchTrigger"], "where it is from");
  await runs.cancel(first.id);
});

check("batch: of several tasks", async () => {
  const handle = await batch.trigger([{ id: ECHO, payload: "one" }, { id: FAIL, payload: "two" }]);
  const found = await whole(handle.batchId);
  const ended = await Promise.all(found.runs.map((id) => runs.retrieve(id)));
  equal(ended.map((run) => [run.taskIdentifier, run.status]), [[ECHO, "COMPLETED"], [FAIL, "FAILED"]], "runs");
});

check("batch: a stream of items", async () => {
  async function* items() {
    for (const n of [1, 2, 3]) yield { payload: n };
  }
  equal((await whole((await tasks.batchTrigger(ECHO, items())).batchId)).runs.length, 3, "runs");
});

check("batch: a key leads to the same batch", async () => {
  const key = fresh("key");
  const first = await tasks.batchTrigger(ECHO, [{ payload: 1 }], { idempotencyKey: key });
  const second = await tasks.batchTrigger(ECHO, [{ payload: 1 }], { idempotencyKey: key });
  equal([second.batchId, (await whole(first.batchId)).idempotencyKey?.length], [first.batchId, 64], "the same");
});

check("batch: a key of an item leads to its run", async () => {
  const key = fresh("key");
  const earlier = await tasks.trigger(ECHO, 1, { idempotencyKey: key });
  const handle = await tasks.batchTrigger(ECHO, [{ payload: 1, options: { idempotencyKey: key } }, { payload: 2 }]);
  const found = await whole(handle.batchId);
  equal(found.runs[0], earlier.id, "the earlier run");
});

check("batch: an item that is refused is an error of the batch", async () => {
  const items = [{ payload: 1 }, { payload: 2, options: { version: "20300101.1" } }];
  const handle = await tasks.batchTrigger(ECHO, items);
  const found = await whole(handle.batchId);
  equal(found.runs.length, 1, "runs");
  const [error] = found.processing.errors;
  equal([error.index, error.taskIdentifier, error.errorCode], [1, ECHO, "BATCH_ITEM_COULD_NOT_TRIGGER"], "error");
  holds(error.error.includes("20300101.1"), error.error);
});

check("batch: results of those that are over", async () => {
  const handle = await batch.trigger([{ id: ECHO, payload: "one" }, { id: FAIL, payload: "two" }]);
  await whole(handle.batchId);
  const found = await client().getBatchResults(handle.batchId);
  equal(found.items.map((item) => item.ok), [true, false], "in order");
});

check("batch: in one request, as older clients send it", async () => {
  const items = [{ task: ECHO, payload: { n: 1 } }, { task: ECHO, payload: { n: 2 } }];
  const made = await client().batchTriggerV3({ items });
  const found = await whole(made.id);
  const outputs = await Promise.all(found.runs.map(async (id) => (await runs.retrieve(id)).output));
  equal(outputs, [{ n: 1 }, { n: 2 }], "outputs");
});

check("batch: what cannot be is refused", async () => {
  await refused(NotFoundError, 404, () => batch.retrieve("batch_unknown", once));
  const many = Array.from({ length: 1001 }, () => ({ payload: 1 }));
  const error = await tasks.batchTrigger(ECHO, many).then(() => undefined, (problem) => problem);
  holds(error?.message.includes("A batch has 1 to 1000 items, not 1001"), `${error?.message}`);
});
