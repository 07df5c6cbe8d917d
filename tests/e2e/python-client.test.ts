/** The Python client, current and older: what it is shown is watched, also behind a bad network. */

import { join, resolve } from "node:path";
import { ConvexHttpClient } from "convex/browser";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { FaultyProxy } from "../src/faulty-proxy.ts";
import { run } from "../src/program.ts";
import { Randomness } from "../src/randomness.ts";
import { FreshetServer, sleep } from "../src/server.ts";
import { installed } from "../src/tools.ts";
import { WatchingProxy } from "../src/watching-proxy.ts";

const PYTHON = installed("python/bin/python", "the Python client is");
const OLDER = installed("python-older", "the older Python client is");
const TESTS = resolve(import.meta.dirname, "../python");

const MUTATIONS = 60;
const KILLS = 1;

describe.runIf(PYTHON !== undefined && OLDER !== undefined)("the Python client", () => {
  let server: FreshetServer;
  let app: TestApp;

  beforeAll(async () => {
    server = await FreshetServer.start();
    app = new TestApp(server, "basic");
    await app.push();
  });

  afterAll(async () => {
    app.delete();
    await server.stop();
  });

  for (const [version, path] of [
    ["0.8.1", ""],
    ["0.7.0", OLDER ?? ""],
  ] as const) {
    it(`${version} passes its tests, and is shown only what was`, { timeout: 120_000 }, async () => {
      const proxy = await WatchingProxy.before(server);
      const env = { FRESHET_URL: proxy.url, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: "1" };
      const { code, output } = await run(PYTHON ?? "", ["-m", "pytest", "-p", "no:cacheprovider", "--timeout", "60", TESTS], { env });
      expect(code, output).toBe(0);
      expect(output).toContain(" passed");
      await proxy.stop();
      expect(proxy.watch.compared).toBeGreaterThan(10);
    });
  }

  it("loses nothing and lets nothing overtake behind a bad network, while the engine is killed", { timeout: 120_000 }, async () => {
    const random = new Randomness();
    console.log(`FRESHET_SEED=${random.seed}`);
    const faulty = await FaultyProxy.start(server.port, random);
    const proxy = await WatchingProxy.before(server, { target: faulty.port });
    const env = { FRESHET_URL: proxy.url, PYTHONDONTWRITEBYTECODE: "1" };
    const sessions = ["python 0", "python 1"];
    let done = 0;
    const count = (text: string): void => {
      done += text.split("done").length - 1;
    };
    const end = new AbortController();
    const running = Promise.all(
      sessions.flatMap((session) =>
        ["read", "write"].map(async (role) => {
          const args = [join(TESTS, "through_faults.py"), role, session, String(MUTATIONS)];
          const { code, output } = await run(PYTHON ?? "", args, { env, listener: count, signal: end.signal });
          expect(code, `seed ${random.seed}: ${output}`).toBe(0);
        }),
      ),
    );
    let over = false;
    running
      .catch(() => {
        end.abort();
      })
      .finally(() => {
        over = true;
      });
    const isOver = (): boolean => over;
    let kills = 0;
    while (!isOver()) {
      // By what was achieved and not by time, so that a slow machine has no more faults than a fast one.
      const before = done;
      await faulty.misbehave();
      for (let waited = 0; !isOver() && done < before + 6 && waited < 200; waited += 1) {
        await sleep(10);
      }
      if (kills < KILLS && done > sessions.length * MUTATIONS * 0.5) {
        kills += 1;
        server.killEngine();
      }
    }
    await running;
    console.log(`${[...faulty.counts].map(([fault, times]) => `${times} x ${fault}`).join(", ")}, ${kills} kills`);
    const reader = new ConvexHttpClient(server.url, { logger: false });
    for (const session of sessions) {
      // It names each connection anew, so that nobody can tell what it sends again from another mutation. All the same nothing
      // is lost, and nothing comes before its turn.
      const entries = await reader.query(api.counters.entries, { session });
      expect([...new Set(entries)], `seed ${random.seed}: ${entries.join()}`).toEqual(Array.from({ length: MUTATIONS }, (_, n) => n));
    }
    await proxy.stop().catch((error: unknown) => {
      throw new Error(`seed ${random.seed}: ${String(error)}`);
    });
    await faulty.stop();
    expect(proxy.watch.compared).toBeGreaterThan(10);
  });
});
