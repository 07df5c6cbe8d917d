/** The same calls in fresh processes give the same bytes: results, errors and console lines. */

import { expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";

const CALLS_MAX = 10_000;
/** Each process gets this long; the second makes the calls that the first has made. */
const TIME_MAX_MS = 25_000;
const AT_ONCE = 8;

const seed = Number(process.env.FRESHET_SEED ?? Date.now() % 1_000_000_007);

const { server } = await runApp("determinism");

/** Answers by number of the call, without what is the request's alone. */
async function answers(count: number): Promise<string[]> {
  const found: string[] = [];
  const ends = performance.now() + TIME_MAX_MS;
  let next = 0;
  const work = async (): Promise<void> => {
    while (next < count && (count < CALLS_MAX || performance.now() < ends)) {
      const number = next;
      next += 1;
      const response = await fetch(`${server.url}/api/query`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ path: "random:call", args: { seed: (seed + number * 7919) % 4_294_967_291 }, format: "convex_encoded_json" }),
      });
      found[number] = (await response.text()).replace(/Request ID: [0-9a-f]+/g, "Request ID");
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return found;
}

it("a query's outcome depends on nothing but its arguments and what it reads", { timeout: 180_000 }, async () => {
  console.log(`seed ${seed}; FRESHET_SEED=${seed} runs it again`);
  const first = await answers(CALLS_MAX);
  const engine = server.enginePid();
  server.killEngine();
  await expect.poll(() => { try { return server.enginePid() !== engine; } catch { return false; } }, { timeout: 30_000 }).toBe(true);
  await server.answering();
  const second = await answers(first.length);
  expect(second.length).toBe(first.length);
  const differing = first.findIndex((answer, number) => answer !== second[number]);
  expect(differing < 0 ? "equal" : `call ${differing}: ${first[differing]} and ${second[differing]}`).toBe("equal");
  expect(first.some((answer) => answer.includes("on purpose"))).toBe(true);
  console.log(`${first.length} calls gave equal bytes in two processes`);
});
