/** A function that was running when the engine crashed is kept from running until the app is deployed again. */

import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";

const { server, app, calls } = await runApp("hostile");

/** Processor time of each thread of a process, in ticks. */
function threadTimes(pid: number): Map<number, number> {
  const times = new Map<number, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const fields = readFileSync(`/proc/${pid}/task/${thread}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
    times.set(Number(thread), Number(fields[11]) + Number(fields[12]));
  }
  return times;
}

/** Crashes the thread that works the most at the moment, as V8 does with the one whose code it cannot go on with. */
async function crashBusiestThread(pid: number): Promise<void> {
  const before = threadTimes(pid);
  await new Promise((wake) => setTimeout(wake, 300));
  let busiest: { thread: number; ticks: number } = { thread: pid, ticks: -1 };
  for (const [thread, ticks] of threadTimes(pid)) {
    const used = ticks - (before.get(thread) ?? ticks);
    if (used > busiest.ticks) {
      busiest = { thread, ticks: used };
    }
  }
  // The number of `tgkill`, which sends a signal to one thread, differs between processors.
  const code = [
    "import ctypes, platform, sys",
    "number = {'x86_64': 234, 'aarch64': 131}[platform.machine()]",
    "sys.exit(ctypes.CDLL(None).syscall(number, int(sys.argv[1]), int(sys.argv[2]), 11) != 0)",
  ].join("\n");
  execFileSync("python3", ["-c", code, String(pid), String(busiest.thread)]);
}

it("puts the function in quarantine whose thread crashed, and no other, until the next deployment", async () => {
  const engine = server.enginePid();
  const poison = calls.query("time:loop").catch((error: unknown) => (error as Error).message);
  await crashBusiestThread(engine);
  const began = performance.now();
  await poison;
  await eventually("another engine", async () => {
    try {
      await server.answering(100);
      return server.enginePid() === engine ? undefined : true;
    } catch {
      return undefined;
    }
  });
  console.log(`the engine answers again ${(performance.now() - began).toFixed(0)} ms after the crash`);

  const refused = await calls.failure(calls.query("time:loop"));
  expect(refused).toContain("The function time:loop is in quarantine: the server ended while it ran (signal 11 (SIGSEGV), ");
  expect(refused).toContain("Deploy the app again to let it run.");
  expect(await calls.query("notes:last", { author: "nobody" })).toBeNull();
  expect(await (await fetch(`${server.url}/ready`)).text()).toContain("in quarantine since the server ended while it ran: time.js:loop");
  expect(server.output).toContain("a function is in quarantine");

  // A planned restart changes nothing about it.
  server.killEngine();
  await eventually("the quarantine after another restart", async () => {
    try {
      return (await calls.failure(calls.query("time:loop"))).includes("is in quarantine") ? true : undefined;
    } catch {
      return undefined;
    }
  });

  await app.push();
  expect(await calls.failure(calls.query("time:loop"))).toContain("Function execution timed out");
  expect(await (await fetch(`${server.url}/ready`)).text()).toBe("ready");
});
