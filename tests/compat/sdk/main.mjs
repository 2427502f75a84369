import "./triggering.mjs";
import "./reading.mjs";
import "./refusals.mjs";
import "./schedules.mjs";
import "./batches.mjs";
import "./options.mjs";
import { runChecks } from "./harness.mjs";

await runChecks();
