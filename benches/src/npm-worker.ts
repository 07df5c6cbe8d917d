/**
 * One process full of real clients of the npm package. The parent sends the plan, gets "ready" when all clients are
 * connected, says when to begin, and gets what was seen.
 */

import process from "node:process";

import { ConvexClient } from "convex/browser";

import { api } from "../apps/transfer/convex/_generated/api.js";
import type { Id } from "../apps/transfer/convex/_generated/dataModel.js";

export interface Plan {
  url: string;
  ids: string[];
  alpha: number;
  clients: number;
  inFlight: number;
}

export interface Begin {
  /** Epoch, in milliseconds, like all times between the processes. */
  start: number;
  end: number;
}

export interface Seen {
  /** Of what was answered between start and end, in milliseconds. */
  latencies: number[];
  failed: number;
  firstError?: string;
}

const now = (): number => performance.timeOrigin + performance.now();

process.once("message", (plan: Plan) => {
  const clients = Array.from({ length: plan.clients }, () => new ConvexClient(plan.url, { logger: false }));
  process.once("message", (begin: Begin) => {
    void load(plan, begin, clients).then((seen) => {
      process.send?.(seen, () => {
        process.exit(0);
      });
    });
  });
  // A first call each, so that connecting is not measured.
  void Promise.all(clients.map((client) => client.query(api.accounts.page, { cursor: null, count: 1 }))).then(() => {
    process.send?.("ready");
  });
});

async function load({ ids, alpha, inFlight }: Plan, { start, end }: Begin, clients: ConvexClient[]): Promise<Seen> {
  const seen: Seen = { latencies: [], failed: 0 };
  const choose = zipf(ids.length, alpha);
  const account = (): Id<"accounts"> => ids[choose()] as Id<"accounts">;
  const loop = async (client: ConvexClient): Promise<void> => {
    while (now() < end) {
      const from = account();
      let to = account();
      while (to === from) {
        to = account();
      }
      const sent = now();
      try {
        await client.mutation(api.accounts.transfer, { from, to, amount: 1 + Math.floor(Math.random() * 10) });
        const answered = now();
        if (answered >= start && answered < end) {
          seen.latencies.push(answered - sent);
        }
      } catch (error) {
        seen.failed += 1;
        seen.firstError ??= String(error);
      }
    }
  };
  await Promise.all(clients.flatMap((client) => Array.from({ length: inFlight }, () => loop(client))));
  await Promise.all(clients.map((client) => client.close()));
  return seen;
}

/** Draws ranks from 0 by Zipf's law. */
function zipf(ranks: number, alpha: number): () => number {
  const upTo = new Float64Array(ranks);
  let sum = 0;
  for (let rank = 0; rank < ranks; rank += 1) {
    sum += (rank + 1) ** -alpha;
    upTo[rank] = sum;
  }
  return () => {
    const wanted = Math.random() * sum;
    let [low, high] = [0, ranks - 1];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((upTo[middle] ?? sum) > wanted) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  };
}
