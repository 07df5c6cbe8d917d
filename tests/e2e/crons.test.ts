/** Cron jobs: what a push does to them, and what happens to their runs when the server is away. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeFunctionReference } from "convex/server";
import { afterAll, describe, expect, it } from "vitest";

import { TestApp } from "../src/app.ts";
import { Calls } from "../src/calls.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, FreshetServer, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const { server, app, calls } = await runApp("scheduler", { isPushed: false });
/** Watches what the jobs write. */
const live = new WatchedClient(server);

afterAll(async () => {
  await live.close();
});

/** Pushes the app with these lines in `crons.ts`. */
async function push(...lines: string[]): Promise<string> {
  app.write("convex/crons.ts", `import { cronJobs, makeFunctionReference } from "convex/server";
const record = makeFunctionReference<"mutation", { group: string; n: number }>("jobs:record");
const slow = makeFunctionReference<"action", { group: string; n: number }>("jobs:act");
const crons = cronJobs();
${lines.join("\n")}
void slow;
void record;
export default crons;
`);
  return await app.push();
}

async function count(group: string): Promise<number> {
  return (await calls.query<number[]>("jobs:runs", { group })).length;
}

async function atLeast(group: string, runs: number): Promise<void> {
  await eventually(`${runs} runs of ${group}`, async () => ((await count(group)) >= runs ? true : undefined), 30_000);
}

describe("cron jobs", () => {
  it("with an interval run at once, then by the interval, mutations and actions alike", async () => {
    await push(
      'crons.interval("mutation", { seconds: 1 }, record, { group: "mutation", n: 1 });',
      'crons.interval("action", { seconds: 1 }, slow, { group: "action", n: 1 });',
      'crons.interval("hourly", { hours: 1 }, record, { group: "hourly", n: 1 });',
    );
    for (const group of ["mutation", "action", "hourly", "renamed"]) {
      live.onUpdate(makeFunctionReference<"query">("jobs:runs"), { group }, () => undefined);
    }
    await atLeast("hourly", 1);
    await atLeast("mutation", 3);
    await atLeast("action", 3);
    expect(await count("hourly")).toBe(1);
  });

  it("are left alone by a push that does not change them, and follow one that does", async () => {
    await push(
      'crons.interval("mutation", { seconds: 1 }, record, { group: "mutation", n: 1 });',
      'crons.interval("hourly", { hours: 1 }, record, { group: "hourly", n: 1 });',
      'crons.daily("daily", { hourUTC: 0, minuteUTC: 0 }, record, { group: "daily", n: 1 });',
    );
    // An interval that was counted anew would run at once.
    await atLeast("mutation", (await count("mutation")) + 2);
    expect(await count("hourly")).toBe(1);
    const actions = await count("action");
    await sleep(1500);
    expect(await count("action")).toBe(actions);

    // A new interval is counted from now, and its first run is now; new arguments wait for the next run.
    await push(
      'crons.interval("mutation", { seconds: 1 }, record, { group: "renamed", n: 2 });',
      'crons.interval("hourly", { hours: 2 }, record, { group: "hourly", n: 1 });',
    );
    await atLeast("renamed", 2);
    await atLeast("hourly", 2);
    expect(await count("hourly")).toBe(2);
    expect(await count("daily")).toBe(0);
  });

  it("skip what was missed while the server was away", { timeout: 60_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), "freshet-crons-"));
    let away = await FreshetServer.start({ dataDir });
    const own = new TestApp(away, "scheduler");
    try {
      own.write("convex/crons.ts", `import { cronJobs, makeFunctionReference } from "convex/server";
const crons = cronJobs();
crons.interval("tick", { seconds: 1 }, makeFunctionReference<"mutation", { group: string; n: number }>("jobs:record"), { group: "tick", n: 1 });
export default crons;
`);
      await own.push();
      const runs = async (): Promise<number> => (await new Calls(away).query<number[]>("jobs:runs", { group: "tick" })).length;
      await eventually("two runs", async () => ((await runs()) >= 2 ? true : undefined));
      const before = await runs();
      await away.stop("SIGKILL");
      await sleep(6000);
      away = await FreshetServer.start({ dataDir });
      await eventually("another run", async () => ((await runs()) > before ? true : undefined));
      // Of the six that were missed at most one is made up for; a slow machine may add some of its own.
      expect((await runs()) - before).toBeLessThan(6);
      await eventually("a line about the runs that were skipped", async () => {
        const logs = await fetch(`${away.url}/api/stream_function_logs?cursor=0`, { headers: { Authorization: `Convex ${away.adminKey}` } });
        return /Skipping \d+ run\(s\) of tick/.test(await logs.text()) ? true : undefined;
      });
    } finally {
      await away.stop();
      own.delete();
      rmSync(dataDir, { recursive: true, force: true });
    }
  });

  it("never run twice at a time, skip what they miss meanwhile, and go on after a failure", { timeout: 180_000 }, async () => {
    await push(
      'crons.interval("slow", { seconds: 1 }, makeFunctionReference<"action", { group: string; ms: number }>("rules:slow"), { group: "slow", ms: 2500 });',
      'crons.interval("failing", { seconds: 1 }, makeFunctionReference<"action", { group: string }>("rules:noteAndFail"), { group: "failing" });',
      'crons.interval("wrong", { seconds: 1 }, makeFunctionReference<"mutation">("jobs:record"), { group: "wrong" });',
    );
    const notes = async (group: string): Promise<string[]> => await calls.query<string[]>("rules:notes", { group });
    const seen = await eventually("three slow runs", async () => {
      const found = await notes("slow");
      return found.filter((text) => text === "end").length >= 3 ? found : undefined;
    }, 60_000);
    expect(seen).toEqual(seen.map((_, n) => (n % 2 === 0 ? "begin" : "end")));
    expect((await notes("failing")).length).toBeGreaterThanOrEqual(3);
    const logs = await fetch(`${server.url}/api/stream_function_logs?cursor=0`, { headers: { Authorization: `Convex ${server.adminKey}` } });
    const text = await logs.text();
    expect(text).toMatch(/Skipping [1-9]\d* run\(s\) of slow/);
    // What its function does not take is a failure of each run as well, and no end of the job.
    expect(text.split("ArgumentValidationError").length).toBeGreaterThan(2);
    await push();
  });

  it("may have every kind of schedule, up to the bounds of each", { timeout: 180_000 }, async () => {
    await push(
      'crons.hourly("hourly", record, { group: "x", n: 1 });',
      'crons.hourly("hourly 0", { minuteUTC: 0 }, record, { group: "x", n: 1 });',
      'crons.hourly("hourly 59", { minuteUTC: 59 }, record, { group: "x", n: 1 });',
      'crons.daily("daily", { hourUTC: 23 }, record, { group: "x", n: 1 });',
      'crons.weekly("weekly", { dayOfWeek: "sunday", hourUTC: 0, minuteUTC: 59 }, record, { group: "x", n: 1 });',
      'crons.monthly("monthly", { day: 31, hourUTC: 23, minuteUTC: 0 }, record, { group: "x", n: 1 });',
      'crons.interval("centuries", { hours: 3000000 }, record, { group: "centuries", n: 1 });',
      'crons.cron("~ !\\"#$%&()*+,-./:;<=>?@[]^_`{|}", "*/15 0-23/2 1,15 JAN-dec mon-FRI", record, { group: "x", n: 1 });',
      'crons.cron("leap day", "0 0 29 2 *", record, { group: "x", n: 1 });',
      'crons.cron("last", "59 23 L * *", record, { group: "x", n: 1 });',
    );
    // However far its second run is, the first one is recorded and over.
    await atLeast("centuries", 1);
    await push();
    expect(await count("centuries")).toBe(1);
    expect(await count("x")).toBe(0);
  });

  it("are refused at the push when they make no sense", { timeout: 120_000 }, async () => {
    const attempts: [string, string][] = [
      ['crons.cron("bad", "61 * * * *", record, { group: "x", n: 1 });', "61"],
      ['crons.interval("a query", { seconds: 1 }, makeFunctionReference<"mutation">("jobs:ping"), { n: 1 });', "which is a query"],
      ['crons.monthly("never", { day: 40, hourUTC: 1, minuteUTC: 1 }, record, { group: "x", n: 1 });', "Day of month"],
      ['crons.interval("missing", { seconds: 1 }, makeFunctionReference<"mutation">("jobs:gone"), {});', "jobs:gone"],
    ];
    for (const [line, text] of attempts) {
      await expect(push(line), line).rejects.toThrow(text);
    }
    await push();
  });
});
