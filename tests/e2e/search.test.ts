/** Full-text search through the real client: matches, live results, pages, errors, and an index build that is killed. */

import { cpSync } from "node:fs";
import { join } from "node:path";

import { makeFunctionReference } from "convex/server";
import { afterAll, describe, expect, it } from "vitest";

import type { TestApp } from "../src/app.ts";
import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

interface Found {
  bodies: string[];
  run: number;
}

interface Page {
  page: { body: string }[];
  isDone: boolean;
  continueCursor: string;
  splitCursor?: string | null;
}

/** A live search: what it showed, in order. */
interface Live {
  shown: Found[];
  last(): Found | undefined;
  close(): void;
}

const ROWS = 6000;
const AT_ONCE = 1000;
/** Builds of an index, each over as many rows more, until one was seen under way. */
const BUILDS_MAX = 5;
const BUCKETS = 31;
/** Words that the beginning of a last word stands for. */
const EXPANSIONS_MAX = 16;

const { server, app, calls } = await runApp("search", { prepare: use("indexed") });
const client = new WatchedClient(server, { varying: ["run"] });
/** Numbered rows that were written. */
let rows = 0;

function use(schema: string): (app: TestApp) => void {
  return ({ dir }) => {
    cpSync(join(dir, `schemas/${schema}.ts`), join(dir, "convex/schema.ts"));
  };
}

async function push(schema: string): Promise<void> {
  use(schema)(app);
  await app.push();
}

async function bodies(words: string, channel?: string): Promise<string[]> {
  return (await calls.query<Found>("messages:search", { words, channel })).bodies;
}

async function send(body: string, channel: string, likes?: number): Promise<string> {
  return await calls.mutation<string>("messages:send", { body, channel, likes });
}

function watch(words: string, channel?: string): Live {
  const shown: Found[] = [];
  const close = client.onUpdate(makeFunctionReference<"query">("messages:search"), { words, channel }, (value: Found) => shown.push(value));
  return { shown, last: () => shown.at(-1), close };
}

afterAll(async () => {
  await client.close();
});

describe("a search", () => {
  it("finds any word, the last one by its beginning, within a channel", async () => {
    for (const [body, channel] of [["red apples and green apples", "a"], ["a red car", "a"], ["an applet", "b"], ["東京に住んでいます", "b"]] as const) {
      await send(body, channel);
    }
    expect(await bodies("apple")).toEqual(["red apples and green apples", "an applet"]);
    expect(await bodies("APPLES red", "a")).toEqual(["red apples and green apples", "a red car"]);
    expect(await bodies("appl red", "b")).toEqual([]);
    expect(await bodies("red appl", "b")).toEqual(["an applet"]);
    expect(await bodies("東京")).toEqual(["東京に住んでいます"]);
    expect(await bodies(" ?! ")).toEqual([]);
  });

  it("finds what its own mutation wrote, also in a nested query, and nothing of what was undone", async () => {
    const wanted = { body: "zebra one", channel: "a", words: "zebra" };
    await expect(calls.mutation("messages:sendAndSearch", { ...wanted, fail: true })).rejects.toThrow("undone");
    expect(await bodies("zebra")).toEqual([]);
    expect(await calls.mutation("messages:sendAndSearch", { ...wanted, fail: false })).toEqual({ own: ["zebra one"], nested: ["zebra one"] });
    expect(await bodies("zebra")).toEqual(["zebra one"]);
  });

  it("takes the best of those that a filter accepts", async () => {
    for (const likes of [1, 5, 3]) {
      await send(`liked ${"often ".repeat(likes)}`.trim(), "likes", likes);
    }
    const best = await calls.query<string[]>("messages:best", { words: "often", count: 1, likes: 4 });
    expect(best).toEqual(["liked often often often often often"]);
    expect(await calls.query<string[]>("messages:best", { words: "liked", count: 5, likes: 2 })).toHaveLength(2);
  });

  it("says what is wrong with it", async () => {
    const attempt = async (search: string[], equal: string[], index = "by_body", table?: string): Promise<unknown> => await calls.query("messages:attempt", { table, index, search, equal });
    expect(await attempt(["body"], [], "missing")).toContain("Index messages.missing not found.");
    expect(await attempt(["body"], [], "by_body", "nowhere")).toContain("Index nowhere.by_body not found.");
    expect(await attempt(["body"], [], "by_channel")).toContain("Index messages.by_channel is not a search index");
    expect(await attempt(["channel"], [])).toContain(
      'Search query against messages.by_body contains a search filter against "channel", which doesn\'t match the indexed `searchField` "body".',
    );
    expect(await attempt(["body"], ["likes"])).toContain(
      'Search query against messages.by_body contains an equality filter on "likes" but that field isn\'t indexed for filtering in `filterFields`.',
    );
    expect(await attempt(["body"], Array.from({ length: 9 }, () => "channel"))).toContain("Search query against messages.by_body has too many filter conditions. Max: 8 Actual: 9");
  });
});

describe("a live search", () => {
  it("changes with what it finds and is not run again for anything else", async () => {
    const first = await send("otter one", "live");
    const live = watch("otter", "live");
    await eventually("the first answer", () => (live.last()?.bodies.length === 1 ? true : undefined));
    const elsewhere = await send("otter elsewhere", "dead");
    await send("something else", "live");
    await calls.mutation("messages:patch", { id: elsewhere, fields: { likes: 3 } });
    // A second search shows that all of this has reached the client.
    const marker = watch("marker");
    await send("marker", "dead");
    await eventually("the marker", () => (marker.last()?.bodies.length === 1 ? true : undefined));
    expect(new Set(live.shown.map((found) => found.run)).size).toBe(1);

    const second = await send("otter two", "live");
    await eventually("the second", () => (live.last()?.bodies.length === 2 ? true : undefined));
    expect(live.last()?.bodies).toEqual(["otter two", "otter one"]);
    await calls.mutation("messages:patch", { id: first, fields: { body: "an otter and an otter" } });
    await eventually("the change", () => (live.last()?.bodies[0] === "an otter and an otter" ? true : undefined));
    await calls.mutation("messages:patch", { id: second, fields: { channel: "dead" } });
    await eventually("that one has left", () => (live.last()?.bodies.length === 1 ? true : undefined));
    await calls.mutation("messages:remove", { id: first });
    await eventually("nothing is left", () => (live.last()?.bodies.length === 0 ? true : undefined));
    live.close();
    marker.close();
  });
});

describe("an index", () => {
  it("is complete after the server was killed while it was built, and pages go through all of it", async () => {
    const look = async (): Promise<unknown> => await calls.query("messages:attempt", { index: "by_body", search: ["body"], equal: [] }).catch(() => undefined);
    let killed = false;
    for (let build = 0; !killed && build < BUILDS_MAX; build++) {
      await push("plain");
      for (const end = rows + ROWS; rows < end; rows += AT_ONCE) {
        await calls.mutation("messages:fill", { from: rows, count: AT_ONCE });
      }
      expect(await look()).toContain("Index messages.by_body not found.");
      const pushed = push("indexed").then(
        () => true,
        () => false,
      );
      // A number of rows tells that it is complete: it was built before anybody looked.
      const told = await eventually("the index is being built or complete", async () => {
        const told = await look();
        return typeof told === "number" || String(told).includes("backfilling") ? told : undefined;
      }, 60_000);
      killed = typeof told === "string";
      if (killed) {
        server.killEngine();
      }
      if (!(await pushed)) {
        await eventually("the push after the restart", async () => ((await app.push().then(() => true, () => undefined)) ?? undefined), 60_000);
      }
    }
    expect(killed, "the server was killed while the index was being built").toBe(true);
    const buckets = await Promise.all(Array.from({ length: BUCKETS }, async (_, n) => (await bodies(`bucket${n} absent`)).length));
    expect(buckets.reduce((sum, count) => sum + count)).toBe(rows);
    for (const n of [0, 1234, rows - 1]) {
      expect(await bodies(`number${n}x nothing number${n} absent`)).toEqual([`message number${n} in bucket${n % BUCKETS}`]);
    }
    // More than a search keeps: refused as a whole, but the best can be had in pages.
    await expect(bodies("message")).rejects.toThrow("Search query scanned too many documents (fetched 1024).");
    const seen = new Set<string>();
    let cursor: string | null = null;
    for (;;) {
      const page: Page = await calls.query("messages:page", { words: "message", paginationOpts: { numItems: 300, cursor } });
      page.page.forEach((row) => seen.add(row.body));
      expect(page.splitCursor ?? null).toBe(null);
      if (page.isDone) {
        break;
      }
      cursor = page.continueCursor;
    }
    expect(seen.size).toBe(1024);
  }, 240_000);

  it("can be defined in another way", async () => {
    await push("unfiltered");
    expect(await calls.query("messages:attempt", { index: "by_body", search: ["body"], equal: ["channel"] })).toContain("that field isn't indexed for filtering");
    const numbers = Array.from({ length: rows }, (_, n) => String(n)).filter((n) => n.startsWith("77"));
    expect((await bodies("number77")).length).toBe(Math.min(numbers.length, EXPANSIONS_MAX));
    await push("plain");
    expect(await calls.query("messages:attempt", { index: "by_body", search: ["body"], equal: [] })).toContain("Index messages.by_body not found.");
  }, 120_000);
});
