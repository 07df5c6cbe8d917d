/** Clients behind a bad network, and an engine that is killed meanwhile: nothing is lost, repeated, or shown that never was. */

import { describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { FaultyProxy } from "../src/faulty-proxy.ts";
import { Randomness } from "../src/randomness.ts";
import { runApp } from "../src/running-app.ts";
import { sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const CLIENTS = 4;
const MUTATIONS = 250;
/** Mutations that a client has under way at once. */
const IN_FLIGHT = 5;
const KILLS = 2;

const { server } = await runApp("basic");

describe("a bad network", () => {
  it(`applies ${CLIENTS * MUTATIONS} mutations once each and in order, and shows only what was`, { timeout: 150_000 }, async () => {
    const random = new Randomness();
    console.log(`FRESHET_SEED=${random.seed}`);
    const proxy = await FaultyProxy.start(server.port, random);
    let done = 0;
    const clients = Array.from({ length: CLIENTS }, (_, index) => {
      const client = new WatchedClient(server, { url: proxy.url });
      const session = `faults ${index}`;
      // Everybody watches what everybody writes.
      for (let other = 0; other < CLIENTS; other += 1) {
        client.onUpdate(api.counters.entries, { session: `faults ${other}` }, () => undefined);
      }
      client.onUpdate(api.counters.get, { name: "faults" }, () => undefined);
      return { client, session };
    });
    const writing = clients.map(async ({ client, session }) => {
      let next = 0;
      const write = async (): Promise<void> => {
        while (next < MUTATIONS) {
          const n = next;
          next += 1;
          await client.mutation(api.counters.append, { session, n });
          done += 1;
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, write));
    });
    const all = Promise.all(writing);
    let over = false;
    void all.finally(() => {
      over = true;
    });
    const isOver = (): boolean => over;
    let kills = 0;
    while (!isOver()) {
      // By what was achieved and not by time, so that a slow machine has no more faults than a fast one.
      const before = done;
      await proxy.misbehave();
      for (let waited = 0; !isOver() && done < before + 10 && waited < 300; waited += 1) {
        await sleep(10);
      }
      if (kills < KILLS && done > ((kills + 1) * CLIENTS * MUTATIONS) / (KILLS + 2)) {
        kills += 1;
        server.killEngine();
      }
    }
    await all;
    console.log(`${[...proxy.counts].map(([fault, count]) => `${count} x ${fault}`).join(", ")}, ${kills} kills`);
    const reader = new WatchedClient(server);
    const expected = Array.from({ length: MUTATIONS }, (_, n) => n);
    for (const { session } of clients) {
      expect(await reader.query(api.counters.entries, { session }), `seed ${random.seed}, ${session}`).toEqual(expected);
    }
    for (const { client } of clients) {
      await client.watch.settled().catch((error: unknown) => {
        throw new Error(`seed ${random.seed}: ${String(error)}`);
      });
      expect(client.watch.compared, `seed ${random.seed}`).toBeGreaterThan(20);
    }
    await reader.close();
    await Promise.all(clients.map(({ client }) => client.close()));
    await proxy.stop();
  });
});
