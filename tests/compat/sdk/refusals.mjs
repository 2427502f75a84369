// Every refusal has the class and the status that the SDK's users know, and comes at once.

import { ApiError, AuthenticationError, BadRequestError, NotFoundError, auth, runs, tasks } from "@trigger.dev/sdk";
import { ECHO, check, holds, once, refused } from "./harness.mjs";

async function atOnce(call) {
  const began = Date.now();
  await call();
  holds(Date.now() - began < 900, `it took ${Date.now() - began} ms: the SDK tried again`);
}

check("a wrong key is an AuthenticationError", () =>
  atOnce(() =>
    refused(AuthenticationError, 401, () =>
      auth.withAuth({ accessToken: "tr_prod_nothingofthesort" }, () => tasks.trigger(ECHO, {})),
    ),
  ));

check("a missing run is a NotFoundError", () =>
  atOnce(async () => {
    await refused(NotFoundError, 404, () => runs.retrieve("run_doesnotexist"));
    await refused(NotFoundError, 404, () => runs.cancel("run_doesnotexist"));
    await refused(NotFoundError, 404, () => runs.replay("run_doesnotexist"));
  }));

check("an unknown status or machine in a filter is a BadRequestError", () =>
  atOnce(async () => {
    await refused(BadRequestError, 400, () => runs.list({ status: "NOPE" }));
    await refused(BadRequestError, 400, () => runs.list({ machine: "huge" }));
    await refused(BadRequestError, 400, () => runs.list({ limit: 101 }));
  }));

check("a payload over the limit is an ApiError", async () => {
  // Past 128 KB the SDK would first offload the payload, so the body is made large by something else.
  await refused(ApiError, 413, () => tasks.trigger(ECHO, {}, { metadata: { text: "x".repeat(262_144) } }, once));
});
