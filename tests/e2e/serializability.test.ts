/**
 * Serializable, as real clients see it: whatever they do at the same time, and while the engine is killed, there is an order of
 * all transactions in which each has the answers that it was given; it is the order of commit timestamps, and nobody who knows of a commit is
 * ordered before it.
 */

import { ConvexHttpClient } from "convex/browser";
import { describe, expect, it } from "vitest";

import { api } from "../apps/data/convex/_generated/api.js";
import type { Choice, PlainStep, Row, Step } from "../apps/data/convex/history.ts";
import { type Look, LedgerModel, type Transaction } from "../src/ledger-model.ts";
import { Randomness } from "../src/randomness.ts";
import { runApp } from "../src/running-app.ts";
import { WatchedClient } from "../src/watched-client.ts";

const CLIENTS = 8;
const GROUPS = 3;
const NUMBERS = 8;
/** More rows than this are removed again. */
const ROWS_MAX = 40;

// More lanes than small machines have processors: with a single one transactions do not meet.
const { server } = await runApp("data", { args: ["--lanes", "4"] });

function choice(random: Randomness): Choice {
  const from = random.below(NUMBERS);
  return {
    order: random.of(["asc", "desc"]),
    ...(random.below(4) === 0 ? {} : { group: random.below(GROUPS) }),
    ...(random.below(2) === 0 ? {} : { from }),
    ...(random.below(2) === 0 ? {} : { below: from + random.below(4) }),
    ...(random.below(4) === 0 ? { even: random.below(2) === 0 } : {}),
    ...(random.below(3) === 0 ? {} : { take: random.below(3) }),
  };
}

function plainStep(random: Randomness): PlainStep {
  const [group, n] = [random.below(GROUPS), random.below(NUMBERS)];
  const rows = { ...choice(random), take: 1 + random.below(2) };
  switch (random.below(9)) {
    case 0:
      return { do: "count" };
    case 1:
    case 2:
      return { do: "insert", group, n };
    case 3:
      return { do: "add", rows, n: random.below(5) - 2 };
    case 4:
      return { do: "move", rows, group };
    case 5:
      return { do: "replace", rows, group, n };
    case 6:
      return { do: "remove", rows };
    default:
      return { do: "read", rows: choice(random) };
  }
}

function step(random: Randomness): Step {
  switch (random.below(8)) {
    case 0:
      return { do: "stale", rows: choice(random) };
    case 1:
      return { do: "nested", fails: random.below(2) === 0, steps: several(random, plainStep) };
    default:
      return plainStep(random);
  }
}

function several<T>(random: Randomness, make: (random: Randomness) => T): T[] {
  return Array.from({ length: 1 + random.below(4) }, () => make(random));
}

type Client = Pick<WatchedClient | ConvexHttpClient, "query" | "mutation">;

/** What all clients were told, by the order of which they are judged. */
class History {
  readonly transactions: Transaction[] = [];
  readonly looks: Look[] = [];
  #known = 0n;

  async transact(client: Client, steps: Step[]): Promise<void> {
    const known = this.#known;
    const { answers, snapshot, commit } = await client.mutation(api.history.transact, { steps });
    // In a document it would be the placeholder; here it is what that became.
    const at = commit as unknown as bigint;
    this.transactions.push({ steps, answers, snapshot, commit: at, known });
    this.#known = at > this.#known ? at : this.#known;
  }

  async look(client: Client, choices: Choice[]): Promise<void> {
    const known = this.#known;
    const { answers, snapshot } = await client.query(api.history.look, { choices });
    this.looks.push({ choices, answers, snapshot, known });
  }
}

describe("transactions of clients that meet", () => {
  it("have the answers of some serial order, through conflicts, nested calls that fail, and an engine that is killed", { timeout: 180_000 }, async () => {
    const random = new Randomness();
    const hint = `FRESHET_SEED=${random.seed}`;
    const history = new History();
    const watched = Array.from({ length: CLIENTS }, () => new WatchedClient(server, { varying: ["snapshot"] }));
    const over = (): ConvexHttpClient => new ConvexHttpClient(server.url, { logger: false });
    const run = async (client: Client, rounds: number, onlyWrites: boolean): Promise<void> => {
      for (let round = 0; round < rounds; round += 1) {
        if (!onlyWrites && random.below(3) === 0) {
          await history.look(client, several(random, choice));
        } else {
          const grown = await client.query(api.history.look, { choices: [{ order: "asc", take: ROWS_MAX + 1 }] });
          const steps = several(random, step);
          await history.transact(client, (grown.answers[0]?.length ?? 0) > ROWS_MAX ? [...steps, { do: "remove", rows: { order: "desc", take: ROWS_MAX } }] : steps);
        }
      }
    };
    await Promise.all([...watched, ...watched.map(over)].map((client) => run(client, 25, false)));
    // Nobody can tell what became of a request over HTTP whose answer was lost; a WebSocket client asks again.
    const killed = Promise.all(watched.map((client) => run(client, 25, true)));
    for (let kills = 0; kills < 2; kills += 1) {
      const before = history.transactions.length;
      while (history.transactions.length < before + CLIENTS) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      server.killEngine();
    }
    await killed;

    const model = new LedgerModel();
    try {
      model.replay(history.transactions);
      for (const look of history.looks) {
        model.check(look);
      }
    } catch (error) {
      throw new Error(`${hint}\n${String(error)}`, { cause: error });
    }
    const { answers } = await over().query(api.history.look, { choices: [{ order: "asc" }] });
    const plain = ({ _id, _creationTime, group, n }: Row): Row => ({ _id, _creationTime, group, n });
    expect(answers[0]?.map(plain), hint).toEqual(model.rows());
    // A history in which nobody met shows nothing.
    const met = history.transactions.filter(({ snapshot, commit }) => history.transactions.some((other) => other.commit > snapshot && other.commit < commit));
    expect(met.length, hint).toBeGreaterThan(0);
    await Promise.all(watched.map((client) => client.close()));
  });

  it("may all make the same tables, and others, at the same time", { timeout: 180_000 }, async () => {
    const clients = Array.from({ length: 16 }, () => new ConvexHttpClient(server.url, { logger: false }));
    const written = await Promise.all(
      clients.flatMap((client, at) =>
        ["together", `alone${at}`].map(async (table) => {
          const id: string = await client.mutation(api.rows.insert, { table, value: { at } }, { skipQueue: true });
          return { id, table, at };
        }),
      ),
    );
    const [client] = clients;
    // Ids say the number of their table, which no other has.
    for (const { id, table, at } of written) {
      expect(await client?.query(api.rows.get, { id, table })).toMatchObject({ at });
    }
    expect(await client?.query(api.find.count, { table: "together" })).toBe(clients.length);
    for (const at of clients.keys()) {
      expect(await client?.query(api.find.rows, { table: `alone${at}` })).toMatchObject([{ at }]);
    }
  });

  it("never fail because they meet, however hot the row", { timeout: 180_000 }, async () => {
    const EACH = 30;
    const group = 1000;
    const clients = Array.from({ length: 24 }, (_, at) => (at % 2 === 0 ? new WatchedClient(server) : new ConvexHttpClient(server.url, { logger: false })));
    const counted = await Promise.all(
      clients.map(async (client) => {
        const seen: number[] = [];
        for (let round = 0; round < EACH; round += 1) {
          seen.push(await client.mutation(api.history.hit, { group }));
        }
        return seen;
      }),
    );
    // Each number once: nobody's write was lost, and nobody's was done twice.
    expect(counted.flat().toSorted((a, b) => a - b)).toEqual(Array.from({ length: clients.length * EACH }, (_, n) => n + 1));
    for (const seen of counted) {
      expect(seen).toEqual(seen.toSorted((a, b) => a - b));
    }
    await Promise.all(clients.map(async (client) => { if (client instanceof WatchedClient) { await client.close(); } }));
  });
});
