// schedules: create, retrieve, update, list, activate, deactivate, delete, time zones, and their runs.

import { runs, schedules } from "@trigger.dev/sdk";
import { ApiError, NotFoundError } from "@trigger.dev/core/v3";
import { check, equal, eventually, fresh, holds, once, refused } from "./harness.mjs";

const NIGHTLY = "nightly";

function plan(options = {}) {
  return schedules.create({ task: NIGHTLY, cron: "0 5 * * *", deduplicationKey: fresh("key"), ...options });
}

check("schedules: one is made and read back", async () => {
  const key = fresh("key");
  const made = await plan({ deduplicationKey: key, timezone: "Asia/Tokyo", externalId: "user_7", window: "30m" });
  equal([made.type, made.task, made.active, made.timezone], ["IMPERATIVE", NIGHTLY, true, "Asia/Tokyo"], "facts");
  equal([made.deduplicationKey, made.externalId, made.window], [key, "user_7", "30m"], "what was given");
  equal(made.generator, { type: "CRON", expression: "0 5 * * *", description: "At 05:00 every day" }, "generator");
  holds(made.nextRun instanceof Date && made.nextRun.getUTCHours() === 20, `nextRun ${made.nextRun}`);
  equal(made.environments.map((environment) => environment.type), ["PRODUCTION"], "environments");
  equal(await schedules.retrieve(made.id), made, "read back");
});

check("schedules: the same key changes the same schedule", async () => {
  const key = fresh("key");
  const first = await plan({ deduplicationKey: key, externalId: "user_7" });
  const second = await plan({ deduplicationKey: key, cron: "0 6 * * *" });
  equal([second.id, second.generator.expression, second.externalId], [first.id, "0 6 * * *", undefined], "changed");
});

check("schedules: an update replaces", async () => {
  const made = await plan({ timezone: "Asia/Tokyo", externalId: "user_7" });
  const changed = await schedules.update(made.id, { task: NIGHTLY, cron: "0 0 L * *" });
  equal([changed.timezone, changed.externalId], ["UTC", undefined], "cleared");
  equal(changed.generator.description, "At 00:00 on the last day of the month", "in words");
});

check("schedules: one is switched off, on and deleted", async () => {
  const made = await plan();
  const off = await schedules.deactivate(made.id);
  equal([off.active, off.nextRun ?? null], [false, null], "off");
  equal((await schedules.activate(made.id)).active, true, "on");
  equal((await schedules.del(made.id)).id, made.id, "deleted");
  await refused(NotFoundError, 404, () => schedules.retrieve(made.id, once));
});

check("schedules: pages are numbered", async () => {
  const made = [(await plan()).id, (await plan()).id].reverse();
  const first = await schedules.list({ page: 1, perPage: 1 });
  const second = await schedules.list({ page: 2, perPage: 1 });
  equal([first.data[0].id, second.data[0].id], made, "newest first");
  holds(first.pagination.totalPages >= 2 && first.pagination.currentPage === 1, "pagination");
});

check("schedules: what cannot be is refused", async () => {
  await refused(ApiError, 422, () => plan({ cron: "0 5 * * * *" }));
  await refused(ApiError, 422, () => plan({ timezone: "Mars/Olympus" }));
  await refused(ApiError, 422, () => plan({ task: "echo" }));
  await refused(ApiError, 422, () => plan({ task: "unknown" }));
});

check("schedules: time zones are listed", async () => {
  const { timezones } = await schedules.timezones();
  holds(timezones.includes("UTC") && timezones.includes("Europe/Berlin"), "zones");
  holds(!(await schedules.timezones({ excludeUtc: true })).timezones.includes("UTC"), "without UTC");
});

check("schedules: a run shows its schedule, and is listed by it", async () => {
  const made = await plan({ externalId: "user_7" });
  const answer = await fetch(`${process.env.TRIGGER_API_URL}/api/v1/schedules/${made.id}/run`, {
    method: "POST",
    headers: { authorization: `Bearer ${process.env.TRIGGER_SECRET_KEY}` },
  });
  const { id } = await answer.json();
  const run = await eventually("the run", async () => {
    const found = await runs.retrieve(id);
    return found.isCompleted && found;
  });
  equal([run.output, run.schedule.id, run.schedule.externalId], ["user_7", made.id, "user_7"], "run");
  equal(run.schedule.generator.expression, "0 5 * * *", "generator");
  equal((await runs.list({ schedule: made.id })).data.map((found) => found.id), [id], "listed");
});
