/** Pagination: cursors and journals, live pages, splitting, limits, and what wrong requests are told. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { type BaseConvexClient, ConvexHttpClient, type QueryJournal } from "convex/browser";
import { ConvexError, getDocumentSize, type Value } from "convex/values";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { api } from "../apps/data/convex/_generated/api.js";
import { TestApp } from "../src/app.ts";
import { errorOf, failureOf, textOf } from "../src/failure.ts";
import { eventually as waitFor, FreshetServer } from "../src/server.ts";
import { WatchedBaseClient, WatchedClient } from "../src/watched-client.ts";

const MESSAGE = "InvalidCursor: Tried to run a query starting from a cursor, but it looks like this cursor is from a different query.";
const DATA = { isConvexSystemError: true, paginationError: "InvalidCursor" };

// Megabytes go back and forth, perhaps on a busy machine.
vi.setConfig({ testTimeout: 240_000 });

async function eventually<T>(what: string, check: () => T | undefined | Promise<T | undefined>): Promise<T> {
  return await waitFor(what, check, 120_000);
}

let dataDir: string;
let server: FreshetServer;
let app: TestApp;
let http: ConvexHttpClient;
const open: { close(): Promise<void> }[] = [];

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), "freshet-pages-"));
  server = await FreshetServer.start({ dataDir });
  app = new TestApp(server, "data");
  await app.push();
  http = new ConvexHttpClient(server.url, { logger: false });
});

afterAll(async () => {
  app.delete();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

interface Item {
  _id: string;
  n: number;
  group: string;
}

interface Page {
  page: Item[];
  isDone: boolean;
  continueCursor: string;
  splitCursor: string | null;
  pageStatus: string | null;
}

/** What the client's own paginated queries show. */
interface Shown {
  results: Item[];
  status: string;
  loadMore(count: number): boolean;
}

interface Options {
  numItems: number;
  cursor: string | null;
  endCursor?: string | null;
  id?: number;
  maximumRowsRead?: number;
  maximumBytesRead?: number;
}

interface Shape {
  table: string;
  index?: string;
  range?: unknown[][];
  filter?: unknown;
  order?: "asc" | "desc";
}

function of(group: string): Shape {
  return { table: "items", index: "by_group_n", range: [["eq", "group", group]] };
}

async function page(shape: Shape, numItems: number, cursor: string | null = null, more: Partial<Options> = {}): Promise<Page> {
  return (await http.query(api.pages.page, { ...shape, paginationOpts: { numItems, cursor, ...more } })) as unknown as Page;
}

function numbers(found: Page | undefined): number[] {
  return (found?.page ?? []).map((row) => row.n);
}

async function fill(group: string, list: number[], pad?: string): Promise<string[]> {
  const values = list.map((n) => (pad === undefined ? { group, n } : { group, n, pad }));
  return await http.mutation(api.rows.insertMany, { table: "items", values });
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

function connect(): WatchedClient {
  const client = new WatchedClient(server);
  open.push(client);
  return client;
}

/** A client at the level at which journals show. */
function connectBase(): { client: WatchedBaseClient; result: (name: string, args: Record<string, Value>) => Page | undefined; settled: () => Promise<void> } {
  const client = new WatchedBaseClient(server);
  open.push(client);
  return {
    client,
    result: (name, args) => client.localQueryResult(name, args) as Page | undefined,
    // Whatever was committed before is in the client's results when its own mutation is answered.
    settled: async () => {
      await client.mutation("rows:insert", { table: "free", value: {} });
    },
  };
}

/** What a base client says of a query: its result, or the error that it failed with. */
async function outcome(client: BaseConvexClient, name: string, args: Record<string, Value>): Promise<unknown> {
  return await eventually(`a result of ${name}`, () => {
    try {
      return client.localQueryResult(name, args);
    } catch (error) {
      return error;
    }
  });
}

describe("cursors", () => {
  it("lead through all rows once, in both directions and with filters", async () => {
    await fill("walk", upTo(23));
    for (const order of ["asc", "desc"] as const) {
      for (const filter of [undefined, ["eq", ["mod", ["field", "n"], 3], 0]]) {
        const shape: Shape = filter === undefined ? { ...of("walk"), order } : { ...of("walk"), order, filter };
        const wanted = upTo(23).filter((n) => filter === undefined || n % 3 === 0);
        for (const size of [1, 4, 23, 24]) {
          const found: number[] = [];
          let cursor: string | null = null;
          let last: Page | undefined;
          for (let round = 0; round < 40 && last?.isDone !== true; round += 1) {
            last = await page(shape, size, cursor);
            expect(last.page.length).toBeLessThanOrEqual(size);
            found.push(...numbers(last));
            cursor = last.continueCursor;
          }
          expect(found).toEqual(order === "asc" ? wanted : wanted.toReversed());
          // What follows the end is empty and done.
          const after = await page(shape, size, cursor);
          expect(after).toEqual({ page: [], isDone: true, continueCursor: cursor, splitCursor: null, pageStatus: null });
        }
      }
    }
  });

  it("are the same text for the same position, again and after a restart, and still lead on", async () => {
    await fill("stable", upTo(9));
    const first = await page(of("stable"), 4);
    expect(await page(of("stable"), 4)).toEqual(first);
    // Another size, the same end.
    expect((await page(of("stable"), 2, (await page(of("stable"), 2)).continueCursor)).continueCursor).toBe(first.continueCursor);
    // `order` written or left out, and a range in another order, mean the same.
    expect((await page({ ...of("stable"), order: "asc" }, 4)).continueCursor).toBe(first.continueCursor);
    const end = await page(of("stable"), 100);

    await server.stop();
    server = await FreshetServer.start({ dataDir });
    http = new ConvexHttpClient(server.url, { logger: false });

    expect(await page(of("stable"), 4)).toEqual(first);
    expect(await page(of("stable"), 100)).toEqual(end);
    expect(numbers(await page(of("stable"), 4, first.continueCursor))).toEqual([4, 5, 6, 7]);
  });

  it("hide the keys of other rows", async () => {
    const group = "a-secret-group-name";
    await fill(group, upTo(4));
    const { continueCursor, splitCursor } = await page(of(group), 3);
    for (const cursor of [continueCursor, splitCursor ?? ""]) {
      const bytes = Buffer.from(cursor, "base64url");
      expect(bytes.length).toBeGreaterThan(group.length);
      for (let at = 0; at + 6 <= group.length; at += 1) {
        expect(bytes.includes(group.slice(at, at + 6))).toBe(false);
      }
    }
  });

  it("survive changes of the rows around them", async () => {
    const ids = await fill("moving", [10, 20, 30, 40]);
    const first = await page(of("moving"), 2);
    await http.mutation(api.rows.remove, { id: ids[1] ?? "" });
    await fill("moving", [15, 25]);
    expect(numbers(await page(of("moving"), 10, first.continueCursor))).toEqual([25, 30, 40]);
    await http.mutation(api.rows.patch, { id: ids[3] ?? "", value: { n: 5 } });
    expect(numbers(await page(of("moving"), 10, first.continueCursor))).toEqual([25, 30]);
  });

  it("of another query are refused in the way from which clients recover", async () => {
    await fill("refused", upTo(5));
    const { continueCursor } = await page(of("refused"), 2);
    const end = (await page(of("refused"), 9)).continueCursor;
    const filter = ["gt", ["field", "n"], 0];
    const filtered = (await page({ ...of("refused"), filter }, 2)).continueCursor;
    const others: [Shape, string][] = [
      [{ ...of("refused"), order: "desc" }, continueCursor],
      [of("other"), continueCursor],
      [of("other"), end],
      [{ ...of("refused"), range: [["eq", "group", "refused"], ["gt", "n", 0]] }, continueCursor],
      [{ ...of("refused"), filter }, continueCursor],
      [{ ...of("refused"), filter: ["gt", ["field", "n"], 1] }, filtered],
      [{ ...of("refused"), filter: ["gte", ["field", "n"], 0] }, filtered],
      [of("refused"), filtered],
      [{ table: "items" }, continueCursor],
      [{ table: "items", index: "by_creation_time" }, continueCursor],
      [{ table: "values", index: "by_x" }, continueCursor],
      [of("refused"), ""],
      [of("refused"), "garbage"],
      [of("refused"), `${continueCursor}A`],
      [of("refused"), continueCursor.slice(0, -2)],
      [of("refused"), "x".repeat(100_000)],
      [of("refused"), "é"],
    ];
    for (const [shape, cursor] of others) {
      expect(await http.query(api.pages.caught, { ...shape, paginationOpts: { numItems: 2, cursor } }), cursor.slice(0, 60)).toEqual({ message: MESSAGE, data: DATA });
    }
    // As the end as well.
    const asEnd = { ...of("refused"), paginationOpts: { numItems: 2, cursor: null, endCursor: filtered } };
    expect(await http.query(api.pages.caught, asEnd)).toEqual({ message: MESSAGE, data: DATA });

    const args = { ...of("other"), paginationOpts: { numItems: 2, cursor: continueCursor } };
    const error = await errorOf(http.query(api.pages.page, args));
    expect(error).toBeInstanceOf(ConvexError);
    expect((error as ConvexError<Value>).data).toEqual(DATA);
    expect(textOf(error)).toBe(MESSAGE);
    const body = JSON.stringify({ path: "pages:page", args });
    const response = await fetch(`${server.url}/api/query`, { method: "POST", headers: { "Content-Type": "application/json" }, body });
    const json = (await response.json()) as { status: string; errorMessage: string; errorData: unknown };
    expect(json.status).toBe("error");
    expect(json.errorMessage).toContain("InvalidCursor");
    expect(json.errorData).toEqual(DATA);
    const overSocket = await errorOf(connect().query(api.pages.page, args));
    expect(overSocket).toBeInstanceOf(ConvexError);
    expect((overSocket as ConvexError<Value>).data).toEqual(DATA);

    // A function that catches it may begin anew.
    const again = (await http.query(api.pages.recovering, args)) as unknown as Page;
    expect(again).toMatchObject({ page: [], isDone: true });
  });
});

describe("end cursors", () => {
  it("bound a page whatever was asked of its size", async () => {
    await fill("bounded", upTo(12));
    const [a, b] = [(await page(of("bounded"), 3)).continueCursor, (await page(of("bounded"), 8)).continueCursor];
    const between = await page(of("bounded"), 1, a, { endCursor: b, maximumRowsRead: 1, maximumBytesRead: 1 });
    expect(numbers(between)).toEqual([3, 4, 5, 6, 7]);
    expect(between).toMatchObject({ isDone: false, continueCursor: b, pageStatus: null });
    const rest = await page(of("bounded"), 1, b, { endCursor: (await page(of("bounded"), 99)).continueCursor });
    expect(numbers(rest)).toEqual([8, 9, 10, 11]);
    expect(rest.isDone).toBe(true);
    expect(numbers(await page(of("bounded"), 1, null, { endCursor: a }))).toEqual([0, 1, 2]);
    expect(await page(of("bounded"), 1, null, { endCursor: null })).toEqual(await page(of("bounded"), 1));
    // Nothing lies between a position and an earlier one.
    expect(await page(of("bounded"), 5, b, { endCursor: a })).toMatchObject({ page: [], continueCursor: a, isDone: false });
    for (const [order, wanted] of [["asc", [3, 4, 5, 6, 7]], ["desc", [8, 7, 6, 5, 4]]] as const) {
      const shape = { ...of("bounded"), order };
      const begin = (await page(shape, 3)).continueCursor;
      const end = (await page(shape, 8)).continueCursor;
      expect(numbers(await page(shape, 1, begin, { endCursor: end }))).toEqual(wanted);
    }
  });

  it("make two pages of one: splitCursor is the middle of the rows read", async () => {
    await fill("split", upTo(11));
    for (const size of [1, 2, 3, 4, 7, 11, 12]) {
      const whole = await page(of("split"), size);
      const read = Math.min(size, 11);
      if (read <= 2) {
        expect(whole.splitCursor).toBeNull();
        continue;
      }
      const left = await page(of("split"), size, null, { endCursor: whole.splitCursor });
      const right = await page(of("split"), size, whole.splitCursor, { endCursor: whole.continueCursor });
      expect(numbers(left)).toEqual(upTo(Math.floor(read / 2) + 1));
      expect([...numbers(left), ...numbers(right)]).toEqual(numbers(whole));
      expect([left.continueCursor, right.continueCursor, right.isDone]).toEqual([whole.splitCursor, whole.continueCursor, whole.isDone]);
    }
    // Rows that a filter rejects are read as well.
    const filtered = await page({ ...of("split"), filter: ["eq", ["field", "n"], 9] }, 1);
    expect(numbers(filtered)).toEqual([9]);
    expect(filtered.splitCursor).not.toBeNull();
  });
});

describe("limits of a page", () => {
  it("in rows read cut it short, and its cursor leads on", async () => {
    await fill("rows", upTo(10));
    const filter = ["gte", ["field", "n"], 7];
    const cut = await page({ ...of("rows"), filter }, 2, null, { maximumRowsRead: 4 });
    expect(cut).toMatchObject({ page: [], isDone: false, pageStatus: "SplitRequired" });
    expect(cut.splitCursor).not.toBeNull();
    const next = await page({ ...of("rows"), filter }, 2, cut.continueCursor, { maximumRowsRead: 5 });
    expect(numbers(next)).toEqual([7, 8]);
    expect(next).toMatchObject({ isDone: false, pageStatus: "SplitRecommended" });
    const last = await page({ ...of("rows"), filter }, 2, next.continueCursor, { maximumRowsRead: 5 });
    expect(numbers(last)).toEqual([9]);
    expect(last).toMatchObject({ isDone: true, pageStatus: null });
    // One row is always read.
    expect(await page(of("rows"), 5, null, { maximumRowsRead: 1 })).toMatchObject({ page: [{ n: 0 }], pageStatus: "SplitRequired", splitCursor: null });
    // Full in time: nothing was cut.
    expect(await page(of("rows"), 4, null, { maximumRowsRead: 4 })).toMatchObject({ pageStatus: "SplitRecommended", isDone: false });
    expect(await page(of("rows"), 3, null, { maximumRowsRead: 4 })).toMatchObject({ pageStatus: null });
  });

  it("in bytes read are checked before the next row", async () => {
    await fill("bytes", upTo(8), "x".repeat(1000));
    const all = await page(of("bytes"), 8);
    const size = getDocumentSize(all.page[0] as unknown as Record<string, Value>);
    const read = async (maximumBytesRead: number): Promise<[number, string | null]> => {
      const cut = await page(of("bytes"), 6, null, { maximumBytesRead });
      return [cut.page.length, cut.pageStatus];
    };
    expect(await read(1)).toEqual([1, "SplitRequired"]);
    expect(await read(size)).toEqual([1, "SplitRequired"]);
    expect(await read(size + 1)).toEqual([2, "SplitRequired"]);
    expect(await read(3 * size)).toEqual([3, "SplitRequired"]);
    expect(await read(6 * size)).toEqual([6, "SplitRecommended"]);
    expect(await read(8 * size)).toEqual([6, null]);
    expect(await read(8 * size - 1)).toEqual([6, "SplitRecommended"]);
  });

  it("of the transaction end it instead of failing, if there is a row at all", async () => {
    const MiB = 2 ** 20;
    const pad = "x".repeat(0.9 * MiB);
    for (let n = 0; n < 20; n += 10) {
      await fill("large", upTo(10).map((at) => n + at), pad);
    }
    // 17 rows are 15.3 MiB, 18 would be 16.2.
    const whole = await page(of("large"), 100);
    expect(numbers(whole)).toEqual(upTo(17));
    expect(whole).toMatchObject({ isDone: false, pageStatus: "SplitRequired" });
    const rest = await page(of("large"), 100, whole.continueCursor);
    expect(numbers(rest)).toEqual([17, 18, 19]);
    expect(rest).toMatchObject({ isDone: true, pageStatus: null });
    // Up to an end that cannot be reached: the end stays what was asked for.
    const bounded = await page(of("large"), 1, null, { endCursor: rest.continueCursor });
    expect(numbers(bounded)).toEqual(upTo(17));
    expect(bounded).toMatchObject({ continueCursor: rest.continueCursor, pageStatus: "SplitRequired", isDone: true });
    const halves = [
      await page(of("large"), 1, null, { endCursor: bounded.splitCursor }),
      await page(of("large"), 1, bounded.splitCursor, { endCursor: bounded.continueCursor }),
    ];
    expect(halves.flatMap(numbers)).toEqual(upTo(20));
    // More than three quarters.
    expect(await page(of("large"), 14)).toMatchObject({ pageStatus: "SplitRecommended" });
    expect(await page(of("large"), 13)).toMatchObject({ pageStatus: null });

    const help = "Consider using smaller limits in your queries, paginating your queries, or using indexed queries with a selective index range expressions.";
    expect(await failureOf(http.query(api.find.rows, of("large")))).toBe(`Too many bytes read in a single function execution (limit: 16777216 bytes). ${help}`);
    // Read before in the same function: one row fits, or none.
    await fill("before", upTo(16), pad);
    await fill("before more", upTo(17), pad);
    const after = async (read: string): Promise<Page> =>
      (await http.query(api.pages.afterReading, { ...of("large"), read, paginationOpts: { numItems: 5, cursor: null } })) as unknown as Page;
    expect(await after("before")).toMatchObject({ page: [{ n: 0 }], isDone: false, pageStatus: "SplitRequired" });
    expect(await failureOf(after("before more"))).toBe(`Too many bytes read in a single function execution (limit: 16777216 bytes). ${help}`);
  });

  it("of a nested call's budget end it as well", async () => {
    await fill("budget", upTo(6));
    const run = async (documentsRead: number): Promise<Page> =>
      (await http.mutation(api.pages.withinBudget, { ...of("budget"), documentsRead, paginationOpts: { numItems: 5, cursor: null } })) as Page;
    expect(numbers(await run(3))).toEqual([0, 1, 2]);
    expect((await run(3)).pageStatus).toBe("SplitRequired");
    expect(numbers(await run(5))).toEqual(upTo(5));
    expect(await failureOf(run(0))).toContain("Too many documents read in a single function execution (limit: 0).");
  });

  it("recommend splitting a page of more than 6144 rows", async () => {
    for (let at = 0; at < 6150; at += 2050) {
      await fill("many", upTo(2050).map((n) => at + n));
    }
    const [fits, large] = [await page(of("many"), 6144), await page(of("many"), 6145)];
    expect([fits.page.length, fits.pageStatus]).toEqual([6144, null]);
    expect([large.page.length, large.pageStatus]).toEqual([6145, "SplitRecommended"]);
  });
});

describe("wrong requests", () => {
  it("say what is wrong", async () => {
    const ask = async (paginationOpts: Options): Promise<string> =>
      ((await http.query(api.pages.caught, { ...of("wrong"), paginationOpts })) as { message: string }).message;
    expect(await ask({ numItems: 0, cursor: null })).toBe("Must request at least 1 document while paginating");
    expect(await ask({ numItems: 32_001, cursor: null })).toBe("Requested too many items: 32001");
    expect(await ask({ numItems: 32_000, cursor: null })).toBe("no error");
    expect(await ask({ numItems: -1, cursor: null })).toBe("`options.numItems` must be a positive number. Received `-1`.");
    const shape = /^Invalid arguments for `queryPage`: \S/;
    expect(await ask({ numItems: 1.5, cursor: null })).toMatch(shape);
    // They reach the host as null.
    expect(await ask({ numItems: NaN, cursor: null })).toMatch(shape);
    expect(await ask({ numItems: Infinity, cursor: null })).toMatch(shape);
    expect(await ask({ numItems: 1e300, cursor: null })).toMatch(shape);
    for (const field of ["maximumRowsRead", "maximumBytesRead"]) {
      expect(await ask({ numItems: 1, cursor: null, [field]: 0 })).toBe("maximumRowsRead and maximumBytesRead must be greater than 0");
      expect(await ask({ numItems: 1, cursor: null, [field]: -1 })).toMatch(shape);
      expect(await ask({ numItems: 1, cursor: null, [field]: 0.5 })).toMatch(shape);
      expect(await ask({ numItems: 1, cursor: null, [field]: 1e12 })).toBe("no error");
    }
    const query = { source: { type: "FullTableScan", tableName: "items", order: null }, operators: [] };
    for (const args of [{ query, pageSize: null, cursor: null }, { query, cursor: null }, { query, pageSize: 1, cursor: 5 }, { query, pageSize: "1", cursor: null }, { pageSize: 1, cursor: null }]) {
      const [reply] = await http.query(api.raw.inQuery, { calls: [{ op: "1.0/queryPage", args: JSON.stringify(args) }] });
      expect(reply?.error).toMatch(shape);
    }
    expect(await ask({ numItems: 1, cursor: null, id: 7 })).toBe("no error");
    const unknown = { ...of("wrong"), index: "nope", paginationOpts: { numItems: 1, cursor: null } };
    expect(await http.query(api.pages.caught, unknown)).toMatchObject({ message: "Index items.nope not found." });
  });

  it("paginate twice in one function", async () => {
    await fill("twice", upTo(3));
    const args = { ...of("twice"), paginationOpts: { numItems: 1, cursor: null } };
    expect(await failureOf(http.query(api.pages.twice, args))).toBe(
      "This query or mutation function ran multiple paginated queries. Convex only supports a single paginated query in each function.",
    );
    // Functions that call each other have a page each.
    const { own, inner } = (await http.query(api.pages.nested, args)) as { own: Page; inner: Page };
    expect([numbers(own), numbers(inner)]).toEqual([[0], [0]]);
  });
});

describe("sources of pages", () => {
  it("may be a mutation, a system table, or a table that does not exist yet", async () => {
    await fill("mutation", upTo(3));
    const first = (await http.mutation(api.pages.inMutation, { ...of("mutation"), paginationOpts: { numItems: 2, cursor: null } })) as unknown as Page;
    expect(numbers(first)).toEqual([0, 1]);
    expect(first.continueCursor).toBe((await page(of("mutation"), 2)).continueCursor);
    for (const note of ["a", "b", "c"]) {
      await http.mutation(api.rows.schedule, { note });
    }
    const jobs = await page({ table: "_scheduled_functions" }, 2);
    const more = await page({ table: "_scheduled_functions" }, 2, jobs.continueCursor);
    expect([...jobs.page, ...more.page].map((job) => (job as unknown as { args: unknown[] }).args)).toEqual([[{ note: "a" }], [{ note: "b" }], [{ note: "c" }]]);
    expect([jobs.isDone, more.isDone]).toEqual([false, true]);
    expect(await page({ table: "notYet" }, 2)).toMatchObject({ page: [], isDone: true, pageStatus: null });
    const client = connect();
    let live: Page | undefined;
    client.onUpdate(api.pages.page, { table: "notYet", paginationOpts: { numItems: 2, cursor: null } }, (found) => {
      live = found as unknown as Page;
    });
    await eventually("the empty page", () => live);
    await http.mutation(api.rows.insertMany, { table: "notYet", values: [{ n: 1 }, { n: 2 }, { n: 3 }] });
    // The last page reaches to the end, so it grows with it.
    await eventually("the rows", () => (numbers(live).length === 3 ? true : undefined));
    expect(live?.isDone).toBe(true);
  });
});

describe("live pages", () => {
  it("grow and shrink between their boundaries, and never overlap", async () => {
    const ids = await fill("live", [10, 20, 30, 40, 50, 60]);
    const { client, result, settled } = connectBase();
    const first = { group: "live", paginationOpts: { numItems: 2, cursor: null } };
    client.subscribe("pages:items", first);
    const begun = (await outcome(client, "pages:items", first)) as Page;
    const second = { group: "live", paginationOpts: { numItems: 2, cursor: begun.continueCursor } };
    client.subscribe("pages:items", second);
    const middle = (await outcome(client, "pages:items", second)) as Page;
    const third = { group: "live", paginationOpts: { numItems: 99, cursor: middle.continueCursor } };
    client.subscribe("pages:items", third);
    await outcome(client, "pages:items", third);
    const pages = (): number[][] => [first, second, third].map((args) => numbers(result("pages:items", args)));
    expect(pages()).toEqual([[10, 20], [30, 40], [50, 60]]);
    const journals = (): (QueryJournal | undefined)[] => [first, second, third].map((args) => client.queryJournal("pages:items", args));
    const before = journals();
    expect(before.every((journal) => typeof journal === "string")).toBe(true);

    await fill("live", [5, 15, 25, 35, 36, 37, 70]);
    await settled();
    expect(pages()).toEqual([[5, 10, 15, 20], [25, 30, 35, 36, 37, 40], [50, 60, 70]]);
    // Boundary rows may go: the boundaries stay.
    await http.mutation(api.rows.remove, { id: ids[1] ?? "" });
    await http.mutation(api.rows.remove, { id: ids[3] ?? "" });
    await settled();
    expect(pages()).toEqual([[5, 10, 15], [25, 30, 35, 36, 37], [50, 60, 70]]);
    await http.mutation(api.rows.patch, { id: ids[0] ?? "", value: { n: 38 } });
    await fill("live", [18, 39]);
    await settled();
    expect(pages()).toEqual([[5, 15, 18], [25, 30, 35, 36, 37, 38, 39], [50, 60, 70]]);
    expect(journals()).toEqual(before);
    expect(result("pages:items", first)?.continueCursor).toBe(begun.continueCursor);

    // Whoever comes back with the journals goes on with the same pages; who comes without gets new ones.
    const again = connectBase();
    for (const [at, args] of [first, second, third].entries()) {
      again.client.subscribe("pages:items", args, { journal: before[at] as QueryJournal });
      await outcome(again.client, "pages:items", args);
    }
    expect([first, second, third].map((args) => numbers(again.result("pages:items", args)))).toEqual(pages());
    const fresh = connectBase();
    fresh.client.subscribe("pages:items", first);
    expect(numbers((await outcome(fresh.client, "pages:items", first)) as Page)).toEqual([5, 15]);
  });

  it("keep to an explicit end rather than to a journal", async () => {
    await fill("explicit", upTo(8));
    const shape = { group: "explicit" };
    const { client } = connectBase();
    const two = { ...shape, paginationOpts: { numItems: 2, cursor: null } };
    const six = { ...shape, paginationOpts: { numItems: 6, cursor: null } };
    for (const args of [two, six]) {
      client.subscribe("pages:items", args);
      await outcome(client, "pages:items", args);
    }
    const journal = client.queryJournal("pages:items", two) as QueryJournal;
    const end = client.localQueryResult("pages:items", six) as unknown as Page;
    const bounded = { ...shape, paginationOpts: { numItems: 1, cursor: null, endCursor: end.continueCursor } };
    client.subscribe("pages:items", bounded, { journal });
    expect(numbers((await outcome(client, "pages:items", bounded)) as Page)).toEqual(upTo(6));
    // The journal is what the page then says: the end itself.
    expect(client.queryJournal("pages:items", bounded)).toBe(client.queryJournal("pages:items", six));
    const resumed = { ...shape, paginationOpts: { numItems: 5, cursor: null } };
    client.subscribe("pages:items", resumed, { journal });
    expect(numbers((await outcome(client, "pages:items", resumed)) as Page)).toEqual([0, 1]);
  });

  it("whose journal belongs to another query, or to none, fail like those with a wrong cursor", async () => {
    await fill("foreign", upTo(4));
    await fill("own", upTo(4));
    const { client, settled } = connectBase();
    const foreign = { group: "foreign", paginationOpts: { numItems: 2, cursor: null } };
    client.subscribe("pages:items", foreign);
    await outcome(client, "pages:items", foreign);
    const journal = client.queryJournal("pages:items", foreign) as QueryJournal;
    for (const [numItems, wrong] of [[2, journal], [3, "garbage"]] as [number, QueryJournal][]) {
      const own = { group: "own", paginationOpts: { numItems, cursor: null } };
      client.subscribe("pages:items", own, { journal: wrong });
      const error = await outcome(client, "pages:items", own);
      expect(error).toBeInstanceOf(ConvexError);
      expect((error as ConvexError<Value>).data).toEqual(DATA);
      expect(textOf(error as Error)).toBe(MESSAGE);
      expect(client.queryJournal("pages:items", own) ?? null).toBeNull();
      // With another number it is another query for the client, which begins anew.
      const anew = { group: "own", paginationOpts: { numItems, cursor: null, id: 1 } };
      client.subscribe("pages:items", anew);
      expect(numbers((await outcome(client, "pages:items", anew)) as Page)).toEqual(upTo(numItems));
    }
    await settled();
    // Queries that do not paginate do not look at journals.
    client.subscribe("find:count", { table: "items" }, { journal: "garbage" as unknown as QueryJournal });
    expect(await outcome(client, "find:count", { table: "items" })).toBeTypeOf("number");
  });

  it("fail when their query becomes another one, and come back with the next change", async () => {
    await fill("setting", upTo(6));
    const { client, settled } = connectBase();
    const args = { group: "setting", paginationOpts: { numItems: 2, cursor: null } };
    client.subscribe("pages:fromSetting", args);
    expect(numbers((await outcome(client, "pages:fromSetting", args)) as Page)).toEqual([0, 1]);
    const id = await http.mutation(api.rows.insert, { table: "typed", value: { name: "setting", age: 3 } });
    await settled();
    const error = await outcome(client, "pages:fromSetting", args);
    expect((error as ConvexError<Value>).data).toEqual(DATA);
    await http.mutation(api.rows.patch, { id, value: { age: 4 } });
    await settled();
    expect(numbers((await outcome(client, "pages:fromSetting", args)) as Page)).toEqual([4, 5]);
  });

  it("are split by the client when they have grown, without a gap or a row twice", async () => {
    const client = connect();
    await fill("hook", [0, 100, 200, 300, 400, 500]);
    let latest: Shown | undefined;
    const problems: string[] = [];
    client.onPaginatedUpdate_experimental(
      api.pages.items,
      // The types of this experimental method know neither what is left out of the arguments nor what comes.
      { group: "hook" } as never,
      { initialNumItems: 2 },
      (result) => {
        latest = result as unknown as Shown;
        const seen = latest.results.map((row) => row.n);
        if (seen.some((n, at) => at > 0 && n <= (seen[at - 1] ?? NaN))) {
          problems.push(JSON.stringify(seen));
        }
      },
      (error) => {
        problems.push(error.message);
      },
    );
    const shown = (): number[] => (latest?.results ?? []).map((row) => row.n);
    await eventually("the first page", () => (latest?.status === "CanLoadMore" ? true : undefined));
    expect(shown()).toEqual([0, 100]);
    latest?.loadMore(2);
    await eventually("the second page", () => (shown().length === 4 ? true : undefined));
    // Three times what was asked for at first: the page is split, and split again.
    for (let n = 1; n < 50; n += 1) {
      await fill("hook", [n, 100 + n]);
    }
    const wanted = [...upTo(50), 100, ...upTo(50).slice(1).map((n) => 100 + n), 200, 300];
    await eventually("all rows between the boundaries", () => (shown().length === wanted.length ? true : undefined));
    expect(shown()).toEqual(wanted);
    latest?.loadMore(100);
    await eventually("the end", () => (latest?.status === "Exhausted" ? true : undefined));
    expect(shown()).toEqual([...wanted, 400, 500]);
    await fill("hook", [600, 350]);
    await eventually("rows at the end", () => (shown().length === wanted.length + 4 ? true : undefined));
    expect(shown()).toEqual([...wanted, 350, 400, 500, 600]);
    expect(problems).toEqual([]);
  });

  it("that do not change are not sent again", async () => {
    await fill("quiet", [1, 2, 3]);
    const client = connect();
    let updates = 0;
    client.onUpdate(api.pages.items, { group: "quiet", paginationOpts: { numItems: 2, cursor: null } }, () => {
      updates += 1;
    });
    await eventually("the page", () => (updates > 0 ? true : undefined));
    await fill("quiet", [4]);
    await client.mutation(api.rows.insert, { table: "free", value: {} });
    expect(updates).toBe(1);
    await fill("quiet", [1.5]);
    await client.mutation(api.rows.insert, { table: "free", value: {} });
    expect(updates).toBe(2);
  });
});
