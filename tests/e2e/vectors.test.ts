import { beforeAll, describe, expect, it } from "vitest";

import type { Hit, Search } from "../apps/vectors/convex/search.ts";
import type { TestApp } from "../src/app.ts";
import { runApp } from "../src/running-app.ts";
import { eventually, sleep } from "../src/server.ts";

const DIMENSIONS = 32;
const ROWS = 2500;
const AT_ONCE = 500;
const SEED = Number(process.env.FRESHET_SEED ?? 20_261_123);

interface Item {
  _id: string;
  embedding?: number[];
  group?: string | null | bigint;
}

/** The documents with vectors that there are. */
let items: Item[] = [];

console.log(`FRESHET_SEED=${SEED}`);
const { server, app, calls } = await runApp("vectors", {
  prepare: (made) => {
    useIndex('.vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 32, filterFields: ["group", "meta.kind"] })', made);
  },
});

function useIndex(indexes: string, target?: TestApp): void {
  (target ?? app).write(
    "convex/schema.ts",
    `import { defineSchema, defineTable } from "convex/server";\nimport { v } from "convex/values";\nexport default defineSchema({ items: defineTable(v.any())${indexes}, empty: defineTable(v.any()) });\n`,
  );
}

/** Mulberry32. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const next = random(SEED);

function vector(dimensions = DIMENSIONS): number[] {
  return Array.from({ length: dimensions }, () => next() + next() + next() - 1.5);
}

/** Like the server: numbers are 32-bit floats, and so is the result. */
function cosine(a: number[], b: number[]): number {
  let [product, ofA, ofB] = [0, 0, 0];
  a.forEach((value, at) => {
    const [x, y] = [Math.fround(value), Math.fround(b[at] ?? 0)];
    product += x * y;
    ofA += x * x;
    ofB += y * y;
  });
  return Math.fround(product / Math.sqrt(ofA * ofB));
}

async function search(query: Search, name = "vectors:search"): Promise<Hit[]> {
  return await calls.action<Hit[]>(name, { search: query as never });
}

async function problem(query: Search): Promise<string | null> {
  return await calls.action<string | null>("vectors:attempt", { search: query as never });
}

async function insert(values: object[]): Promise<string[]> {
  const ids: string[] = [];
  for (let from = 0; from < values.length; from += AT_ONCE) {
    ids.push(...(await calls.mutation<string[]>("vectors:insert", { values: values.slice(from, from + AT_ONCE) as never })));
  }
  return ids;
}

/** The share of what a look at every document finds. */
function recall(found: Hit[], items: Item[], query: number[], limit: number): number {
  const exact = items
    .filter((item) => item.embedding?.length === query.length)
    .map((item) => ({ _id: item._id, _score: cosine(query, item.embedding ?? []) }))
    .sort((a, b) => b._score - a._score)
    .slice(0, limit);
  const wanted = new Map(exact.map((hit) => [hit._id, hit._score]));
  for (const hit of found) {
    const score = wanted.get(hit._id);
    if (score !== undefined) {
      expect(hit._score).toBeCloseTo(score, 6);
    }
  }
  return exact.length === 0 ? 1 : found.filter((hit) => wanted.has(hit._id)).length / exact.length;
}

/** Compares some searches with the documents. */
async function expectRight(filter?: { conditions: Search["filter"]; passes: (item: Item) => boolean }): Promise<void> {
  let sum = 0;
  const queries = 5;
  for (let n = 0; n < queries; n += 1) {
    const query = vector();
    const found = await search({ vector: query, limit: 20, ...(filter === undefined ? {} : { filter: filter.conditions ?? [] }) });
    expect(found.every((hit, at) => at === 0 || hit._score <= (found[at - 1]?._score ?? 0))).toBe(true);
    sum += recall(found, filter === undefined ? items : items.filter(filter.passes), query, 20);
  }
  expect(sum / queries).toBeGreaterThanOrEqual(0.99);
}

describe("a vector search", () => {
  beforeAll(async () => {
    const values = Array.from({ length: ROWS }, (_, n) => ({ embedding: vector(), group: n % 100 === 7 ? "rare" : n % 2 === 0 ? "even" : "odd", ...(n % 3 === 0 ? {} : { meta: { kind: 3n } }) }));
    const ids = await insert(values);
    items = values.map((value, n) => ({ ...value, _id: ids[n] ?? "" }));
  });

  it("finds the nearest documents, with their cosine similarity, from actions of both runtimes", async () => {
    await expectRight();
    const query = items[42]?.embedding ?? [];
    const found = await search({ vector: query });
    expect(found).toHaveLength(10);
    expect(found[0]).toEqual({ _id: items[42]?._id, _score: 1 });
    expect(await search({ vector: query }, "node:search")).toEqual(found);
    expect(await search({ vector: query.map((x) => -7 * x), limit: 256 })).toHaveLength(256);
    expect(await search({ vector: query, limit: 0 })).toEqual([]);
  });

  it("obeys filters: one of several alternatives, rare values, missing fields, int64", { timeout: 120_000 }, async () => {
    await expectRight({ conditions: [["group", "rare"]], passes: (item) => item.group === "rare" });
    await expectRight({ conditions: [["group", "rare"], ["group", "odd"]], passes: (item) => item.group !== "even" });
    const missing = new Set(items.filter((_, n) => n % 3 === 0).map((item) => item._id));
    await expectRight({ conditions: [["meta.kind"]], passes: (item) => missing.has(item._id) });
    await expectRight({ conditions: [["meta.kind", 3n]], passes: (item) => !missing.has(item._id) });
    expect(await search({ vector: vector(), filter: [["meta.kind", 3]] })).toEqual([]);
    expect(await search({ vector: vector(), filter: [["group", "nobody"]] })).toEqual([]);
  });

  it("sees the writes that its own action made before", async () => {
    const embedding = vector();
    const seen = await calls.action<{ id: string; inserted: Hit; changed: Hit; changedBack: Hit; removed: Hit }>("vectors:ownWrites", { embedding, other: embedding.map((x) => -x) });
    expect(seen.inserted).toEqual({ _id: seen.id, _score: 1 });
    expect(seen.changedBack).toEqual(seen.inserted);
    expect(seen.changed._id).not.toBe(seen.id);
    expect(seen.removed).toEqual(seen.changed);
  });

  it("says what is wrong with a query", async () => {
    const query = vector();
    expect(await problem({ vector: query, limit: 257 })).toBe("Vector queries can fetch at most 256 results, requested 257.");
    for (const limit of [-1, 1.5]) {
      expect(await problem({ vector: query, limit })).toContain("Invalid arguments for `vectorSearch`: ");
    }
    expect(await problem({ vector: [1, 2, 3] })).toBe("Expected a vector with dimensions 32, received 3.");
    expect(await problem({ vector: [] })).toBe("`vector` must be a non-empty Array in vectorSearch");
    expect(await problem({ vector: query, filter: [["color", "red"]] })).toBe("Vector query against items.by_embedding contains a filter on \"color\" but that field isn't indexed for filtering in `filterFields`.");
    expect(await problem({ vector: query, filter: Array.from({ length: 65 }, () => ["group", "x"]) })).toBe("Vector query against items.by_embedding has too many conditions. Max: 64 Actual: 65");
    expect(await problem({ vector: query, filter: Array.from({ length: 64 }, () => ["group", "x"]) })).toBeNull();
    expect(await problem({ vector: query, index: "by_nothing" })).toBe("Index items.by_nothing not found.");
    expect(await problem({ vector: query, table: "empty" })).toBe("Index empty.by_embedding not found.");
    expect(await problem({ vector: query, index: "by_creation_time" })).toBe("Index items.by_creation_time is not a vector index");
    expect(await search({ vector: query, table: "nowhere" })).toEqual([]);
  });

  it("finds the same after a restart and after the engine was killed, new and changed documents included", { timeout: 300_000 }, async () => {
    for (let kill = 0; kill < 4; kill += 1) {
      const values = Array.from({ length: 40 }, () => ({ embedding: vector(), group: "late" }));
      const ids = await insert(values);
      items.push(...values.map((value, n) => ({ ...value, _id: ids[n] ?? "" })));
      const gone = items.splice(Math.floor(next() * items.length), 1)[0];
      await calls.mutation("vectors:remove", { id: gone?._id ?? "" });
      const changed = items[Math.floor(next() * items.length)];
      if (changed !== undefined) {
        changed.embedding = vector();
        await calls.mutation("vectors:patch", { id: changed._id, value: { embedding: changed.embedding } });
      }
      // The second time while the engine loads its files.
      await sleep(kill * 30);
      server.killEngine();
      await server.answering();
      if (kill % 2 === 1) {
        await sleep(kill * 20);
        await eventually("the next engine", () => attemptKill());
        await server.answering();
      }
      await eventually("an answer", async () => (await search({ vector: vector(), limit: 1 }).catch(() => [])).length === 1 ? true : undefined, 40_000);
      await expectRight();
    }
  });
});

function attemptKill(): true | undefined {
  try {
    server.killEngine();
    return true;
  } catch {
    return undefined;
  }
}

interface Declared {
  table: string;
  name: string;
  backfill: { state: string };
}

/** The indexes of the table. */
async function declared(): Promise<Declared[]> {
  const response = await fetch(`${server.url}/api/get_indexes`, { headers: { authorization: `Convex ${server.adminKey}` } });
  return ((await response.json()) as { indexes: Declared[] }).indexes.filter((index) => index.table === "items");
}

describe("a push", () => {
  const query = vector();

  it("adds, changes, stages and removes vector indexes", { timeout: 600_000 }, async () => {
    // Another one beside the first, by which other documents are found.
    await insert([{ small: [1, 2] }, { small: [2, 1] }, { small: [1, 2, 3] }]);
    useIndex('.vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 32 }).vectorIndex("by_small", { vectorField: "small", dimensions: 2 })');
    const first = await search({ vector: query, filter: [["group", "odd"]] });
    expect(first).toHaveLength(10);
    await app.push();
    await expectRight();
    expect(await search({ index: "by_small", vector: [1, 2] })).toMatchObject([{ _score: 1 }, { _score: Math.fround(0.8) }]);
    expect(await problem({ vector: query, filter: [["group", "odd"]] })).toContain("isn't indexed for filtering");

    useIndex('.vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 32, filterFields: ["group"] }).vectorIndex("by_small", { vectorField: "small", dimensions: 3, staged: true })');
    await app.push();
    expect(await search({ vector: query, filter: [["group", "odd"]] })).toEqual(first);
    expect(await problem({ index: "by_small", vector: [1, 2, 3] })).toBe("Index items.by_small is currently staged and not available to query until it is enabled.");
    await eventually("the staged index", async () => ((await declared()).find((index) => index.name === "by_small")?.backfill.state === "done" ? true : undefined));

    useIndex('.vectorIndex("by_small", { vectorField: "small", dimensions: 3 })');
    await app.push();
    expect(await search({ index: "by_small", vector: [1, 2, 3] })).toMatchObject([{ _score: 1 }]);
    expect(await problem({ vector: query })).toBe("Index items.by_embedding not found.");
  });

  it("builds an index that is complete and right although the engine is killed again and again meanwhile", { timeout: 600_000 }, async () => {
    useIndex('.vectorIndex("by_embedding", { vectorField: "embedding", dimensions: 32 })');
    for (let kill = 0; kill < 3; kill += 1) {
      const push = app.convex("dev", "--once", "--typecheck", "disable");
      await eventually("the index", async () => ((await declared().catch(() => [])).some((index) => index.name === "by_embedding") ? true : undefined), 120_000);
      await sleep(kill * 60);
      attemptKill();
      await push;
      await server.answering();
    }
    await app.push();
    await expectRight();
  });
});
