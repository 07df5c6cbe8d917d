import { describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { runApp } from "../src/running-app.ts";
import { eventually, FreshetServer, freshetBinary, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";
import { spawnSync } from "node:child_process";

const KILLS = 20;
const CLIENTS = 4;

const { server } = await runApp("basic");

describe("an engine that is killed", () => {
  it(
    `${KILLS} times under write load loses nothing that was acknowledged and repeats nothing`,
    { timeout: 300_000 },
    async () => {
      let writing = true;
      const written = new Array<number>(CLIENTS).fill(0);
      const writers = Array.from({ length: CLIENTS }, async (_, index) => {
        const client = new WatchedClient(server);
        const session = `writer ${index}`;
        const acknowledged: number[] = [];
        for (let n = 0; writing; n += 1) {
          await client.mutation(api.counters.append, { session, n });
          acknowledged.push(n);
          written[index] = n + 1;
        }
        await client.close();
        return { session, acknowledged };
      });
      /** Clients come back by themselves; a round starts when all of them have, and are writing. */
      const underLoad = async (): Promise<void> => {
        const before = [...written];
        await eventually(
          "writes of every client",
          () => (written.every((count, index) => count >= (before[index] ?? 0) + 5) ? true : undefined),
          40_000,
        );
      };
      for (let kill = 0; kill < KILLS; kill += 1) {
        await underLoad();
        // Differs from round to round, so that the engine dies at different moments of a commit.
        await sleep((kill * 13) % 50);
        server.killEngine();
      }
      await underLoad();
      writing = false;
      const results = await Promise.all(writers);
      const reader = new WatchedClient(server);
      for (const { session, acknowledged } of results) {
        const stored = await reader.query(api.counters.entries, { session });
        expect(acknowledged.length, session).toBeGreaterThan(KILLS);
        expect(stored, session).toEqual(acknowledged);
      }
      await reader.close();
    },
  );

  it("lets subscriptions go on by themselves", async () => {
    const client = new WatchedClient(server);
    let value = -1;
    client.onUpdate(api.counters.get, { name: "survivor" }, (latest: number) => {
      value = latest;
    });
    await client.mutation(api.counters.add, { name: "survivor", by: 1 });
    expect(value).toBe(1);
    server.killEngine();
    await client.mutation(api.counters.add, { name: "survivor", by: 1 });
    expect(value).toBe(2);
    await client.close();
  });
});

describe("the command line", () => {
  it("refuses a second server on the same directory", () => {
    const second = spawnSync(freshetBinary(), ["serve", "--data", server.dataDir, "--port", "0", "--site-port", "0"], { encoding: "utf8", timeout: 20_000 });
    expect(second.status).not.toBe(0);
    expect(second.stderr).toContain(server.dataDir);
  });

  it("prints the admin key and nothing else", () => {
    const printed = spawnSync(freshetBinary(), ["admin-key", "--data", server.dataDir], { encoding: "utf8" });
    expect(printed.stdout).toMatch(/^[a-z0-9-]+\|[0-9a-f]+\n$/);
    expect(printed.stdout.trim()).toBe(server.adminKey);
  });

  it("ends within five seconds when asked to, and keeps its data", async () => {
    const own = await FreshetServer.start();
    const started = Date.now();
    const code = await own.stop("SIGTERM");
    expect(Date.now() - started).toBeLessThan(5_000);
    expect(code).toBe(0);
  });
});
