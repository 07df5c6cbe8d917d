import { readdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference, type PaginationResult } from "convex/server";
import { ConvexError } from "convex/values";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { api } from "../apps/basic/convex/_generated/api.js";
import { runApp } from "../src/running-app.ts";
import { eventually, residentMegabytes, sleep } from "../src/server.ts";
import { WatchedClient } from "../src/watched-client.ts";

const open: WatchedClient[] = [];

/** Runs every second once it is pushed. */
const CRONS = `
import { cronJobs } from "convex/server";
import { internal } from "./_generated/api";
const crons = cronJobs();
crons.interval("tick", { seconds: 1 }, internal.runtime.appendLater, { session: "cron", n: 1 });
export default crons;
`;

// So little that a busy machine fills it before the time is up.
const { server, app } = await runApp("basic", {
  args: ["--function-memory-mb", "64"],
  prepare: (app) => {
    app.write("convex/crons.ts", CRONS);
  },
});

afterEach(async () => {
  await Promise.all(open.splice(0).map((client) => client.close()));
});

function http(): ConvexHttpClient {
  return new ConvexHttpClient(server.url, { logger: false });
}

function connect(): WatchedClient {
  const client = new WatchedClient(server);
  open.push(client);
  return client;
}

/** The error that a call fails with. */
async function failure(call: Promise<unknown>): Promise<Error> {
  try {
    const value = await call;
    throw new Error(`no failure, but ${JSON.stringify(value)}`);
  } catch (error) {
    return error as Error;
  }
}

/** The raw answer of the HTTP API, console lines included. */
async function post(kind: string, path: string, args: object): Promise<{ status: string; value?: unknown; errorMessage?: string; logLines: string[] }> {
  const response = await fetch(`${server.url}/api/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args, format: "json" }),
  });
  return (await response.json()) as { status: string; logLines: string[] };
}

async function entries(session: string): Promise<number[]> {
  return await http().query(api.counters.entries, { session });
}

describe("work that a mutation does not wait for", () => {
  it("is committed with it", async () => {
    expect(await http().mutation(api.runtime.forget, { session: "forget" })).toBe("early");
    expect((await entries("forget")).slice(0, 5)).toEqual([0, 1, 2, 3, 4]);
    await eventually("the scheduled function", async () => ((await entries("forget")).includes(99) ? true : undefined));
  });

  it("is there for the caller of a nested mutation", async () => {
    expect(await http().mutation(api.runtime.forgetNested, { session: "forgetNested" })).toBe(5);
  });

  it("fails the mutation when it fails", async () => {
    const error = await failure(http().mutation(api.runtime.forgetAndFail, { session: "forgetAndFail" }));
    expect(error.message).toContain("Uncaught Error: nobody looks");
    expect(await entries("forgetAndFail")).toEqual([]);
  });
});

describe("a query that misbehaves", () => {
  /** Calls of other clients must go on. */
  async function others(): Promise<void> {
    await Promise.all(Array.from({ length: 8 }, async (_, n) => {
      expect(await http().query(api.misc.echo, { value: n })).toBe(n);
    }));
  }

  for (const [what, path, text] of [
    ["runs forever", "misc:endless", "Function execution timed out (maximum duration: 1s)"],
    ["recurses too deeply", "runtime:recurse", "Uncaught RangeError: Maximum call stack size exceeded"],
    ["fills the heap", "runtime:heapBomb", "JavaScript execution ran out of memory (maximum memory usage: 64 MB)"],
    ["waits forever", "runtime:never", "Returned promise will never resolve"],
  ] as const) {
    it(`fails alone when it ${what}`, async () => {
      const engine = server.enginePid();
      const [error] = await Promise.all([failure(http().query(makeFunctionReference<"query">(path), {})), others()]);
      expect(error.message).toContain(text);
      await others();
      expect(server.enginePid()).toBe(engine);
    });
  }

  it("may call the host from the end of the stack", async () => {
    const engine = server.enginePid();
    expect(await http().query(api.runtime.recurseIntoHost, {})).toBe("survived");
    expect(server.enginePid()).toBe(engine);
  });

  it("does not take calls along that follow it in its lane", async () => {
    const endless = Array.from({ length: 2 }, async () => await failure(http().query(api.misc.endless, {})));
    const innocent: Promise<unknown>[] = [];
    for (let n = 0; n < 100; n += 1) {
      innocent.push(http().mutation(api.counters.append, { session: "innocent", n }));
      await sleep(20);
    }
    await Promise.all(innocent);
    for (const error of await Promise.all(endless)) {
      expect(error.message).toContain("Function execution timed out");
    }
    expect((await entries("innocent")).length).toBe(100);
  });

  it("leaves nothing behind in what all functions share", async () => {
    for (let call = 0; call < 10; call += 1) {
      expect(await http().query(api.runtime.pollute, {})).toEqual([null, null, null, null, null]);
    }
  });
});

describe("the console", () => {
  it("formats values as the clients expect them", async () => {
    const { logLines } = await post("mutation", "runtime:print", {});
    expect(logLines).toEqual([
      "[LOG] 'hi' {\n  a: 1\n} [ 1, 'a', [ 2 ] ] 10n -0 null undefined",
      "[WARN] Map (1) {\n  'k' => Set (1) {\n    1\n  }\n} [Error: boom]",
      "[DEBUG] 'it\\'s'",
      "[INFO] default: 0ms",
      "[WARN] Timer 'nobody' does not exist",
    ]);
  });

  it("is bounded in lines and in length", async () => {
    const many = await post("query", "runtime:printMuch", { lines: 300, length: 1 });
    expect(many.logLines).toHaveLength(256);
    expect(many.logLines.at(-1)).toBe("[ERROR] Log overflow (maximum 256). Remaining log lines omitted.");
    const long = await post("query", "runtime:printMuch", { lines: 1, length: 40_000 });
    expect(long.logLines[0]).toHaveLength("[LOG] ".length + 32_768 + " (truncated due to length)".length);
  });
});

describe("nested calls", () => {
  it("run one after the other when they are made at once", async () => {
    expect(await http().mutation(api.runtime.nestedAtOnce, { name: "atOnce" })).toEqual([1, 1, 11, 11]);
  });

  it("hand on the data of an error", async () => {
    for (const call of [
      http().query(api.runtime.throwDataNested, {}),
      http().action(api.runtime.throwDataThroughAction, {}),
    ]) {
      const error = await failure(call);
      expect(error).toBeInstanceOf(ConvexError);
      expect((error as ConvexError<{ code: string; amount: bigint }>).data).toEqual({ code: "DEEP", amount: 7n });
    }
  });

  it("may go through function handles", async () => {
    const handle = await http().query(api.runtime.handleOf, {});
    expect(handle).toMatch(/^function:\/\//);
    expect(await http().mutation(api.runtime.callHandle, { handle, name: "handled" })).toBe(5);
  });
});

describe("stack frames", () => {
  it("point into the author's sources, shared chunks included", async () => {
    const { errorMessage } = await post("query", "runtime:failShared", {});
    expect(errorMessage).toMatch(/Uncaught Error: deep on purpose\n {4}at failDeep \((?:\.\.\/)+convex\/deep\.ts:3:\d+\)\n {4}at handler \(\.\.\/convex\/runtime\.ts:\d+:\d+\)\n$/);
  });

  it("do so in Node too", async () => {
    const shared = await post("action", "node:failShared", {});
    expect(shared.errorMessage).toMatch(/Uncaught Error: deep on purpose\n {4}at failDeep \((?:\.\.\/)+convex\/deep\.ts:3:\d+\)\n {4}at handler \(\.\.\/convex\/node\.ts:\d+:\d+\)\n$/);
    const plain = await post("action", "node:fail", {});
    expect(plain.errorMessage).toMatch(/Uncaught Error: node on purpose\n {4}at handler \(\.\.\/convex\/node\.ts:\d+:\d+\)\n$/);
  });
});

describe("the scheduler", () => {
  it("does not run what was canceled", async () => {
    const client = http();
    const id = await client.mutation(api.runtime.schedule, { session: "canceled", delayMs: 600 });
    expect(await client.query(api.runtime.job, { id })).toBe("pending");
    await client.mutation(api.runtime.cancel, { id });
    expect(await client.query(api.runtime.job, { id })).toBe("canceled");
    await sleep(1_200);
    expect(await entries("canceled")).toEqual([]);
  });

  it("runs crons by their interval", async () => {
    const before = (await entries("cron")).length;
    await sleep(3_200);
    const runs = (await entries("cron")).length - before;
    expect(runs).toBeGreaterThanOrEqual(2);
    expect(runs).toBeLessThanOrEqual(4);
  });
});

describe("pages", () => {
  it("stay whole and in order for a subscriber while rows arrive", async () => {
    const session = "pages";
    for (let n = 0; n < 10; n += 1) {
      await http().mutation(api.counters.append, { session, n });
    }
    const client = connect();
    const pages = new Map<string | null, PaginationResult<{ n: number }>>();
    // As `usePaginatedQuery` does it: a subscription for each page, from the cursor of the one before, with an id.
    const subscribe = (cursor: string | null): void => {
      client.onUpdate(
        api.runtime.page,
        { session, paginationOpts: { numItems: 4, cursor, id: 1 } },
        (page: PaginationResult<{ n: number }>) => {
          pages.set(cursor, page);
        },
      );
    };
    const all = (): number[] => [...pages.values()].flatMap((page) => page.page.map((row) => row.n));
    subscribe(null);
    const first = await eventually("the first page", () => pages.get(null));
    expect([first.page.length, first.isDone]).toEqual([4, false]);
    subscribe(first.continueCursor);
    const second = await eventually("the second page", () => pages.get(first.continueCursor));
    subscribe(second.continueCursor);
    await eventually("the last page", () => pages.get(second.continueCursor));
    expect(all()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    await http().mutation(api.counters.append, { session, n: 10 });
    await eventually("the new row", () => (all().includes(10) ? true : undefined));
    expect(all()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

it("hashes in a query", async () => {
  expect(await http().query(api.runtime.digest, { text: "abc" })).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});

describe("actions", () => {
  let other: Server;
  let url = "";
  /** Requests that wait for an answer which does not come. */
  let unanswered = 0;

  beforeAll(async () => {
    other = createServer((request, response) => {
      if (request.url === "/never") {
        request.on("close", () => (unanswered -= 1));
        unanswered += 1;
        return;
      }
      let body = "";
      request.on("data", (chunk: Buffer) => (body += chunk.toString()));
      request.on("end", () => {
        response.writeHead(201, { "X-Agent": request.headers["user-agent"] ?? "" });
        response.end(JSON.stringify({ got: JSON.parse(body) as unknown }));
      });
    });
    await new Promise<void>((ready) => other.listen(0, "127.0.0.1", ready));
    url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`;
  });

  afterAll(() => {
    other.close();
  });

  it("fetch", async () => {
    expect(await http().action(api.runtime.download, { url })).toEqual({ status: 201, body: { got: { ping: true } }, agent: "Convex/1.0" });
  });

  it("import modules when they need them", async () => {
    expect(await http().action(api.runtime.importLater, {})).toBe(true);
  });

  it("read the environment as it is when they start, in both runtimes", async () => {
    expect(await http().action(api.runtime.environment, {})).toEqual({ setting: null, site: server.siteUrl });
    const counted = await http().action(api.node.count, {});
    expect(await http().action(api.node.count, {})).toBe(counted + 1);
    expect((await app.convex("env", "set", "SETTING", "on")).code).toBe(0);
    expect((await http().action(api.runtime.environment, {})).setting).toBe("on");
    expect((await http().action(api.node.hash, { text: "abc", name: "env" })).setting).toBe("on");
    // Another environment means freshly evaluated modules.
    expect(await http().action(api.node.count, {})).toBe(1);
  });

  it("have the whole of Node when they ask for it", async () => {
    const { status, value, logLines } = await post("action", "node:hash", { text: "abc", name: "node" });
    expect(status).toBe("success");
    expect(value).toMatchObject({ hash: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", value: 2, ownSource: true });
    expect(logLines).toEqual(["[LOG] 'hashing' {\n  text: 'abc'\n}"]);
  });

  it("fail alone when they leave a rejection or an exception behind", async () => {
    const innocent = Array.from({ length: 4 }, async () => await http().action(api.runtime.wait, { ms: 500 }));
    await sleep(100);
    const [stray, timer] = await Promise.all([
      failure(http().action(api.runtime.reject, {})),
      failure(http().action(api.runtime.throwInTimer, {})),
    ]);
    expect(stray.message).toContain("Uncaught Error: stray");
    expect(timer.message).toContain("Uncaught Error: in a timer");
    expect(await Promise.all(innocent)).toEqual(["waited", "waited", "waited", "waited"]);
  });

  it("fail alone when a host call fails that nobody waits for", async () => {
    const innocent = Array.from({ length: 4 }, async () => await http().action(api.runtime.wait, { ms: 500 }));
    expect((await failure(http().action(api.runtime.rejectFromHost, {}))).message).toContain("Uncaught ConvexError");
    expect(await Promise.all(innocent)).toEqual(["waited", "waited", "waited", "waited"]);
  });

  it("leave nothing running when they are over", async () => {
    const innocent = http().action(api.runtime.wait, { ms: 1_000 });
    expect(await http().action(api.runtime.abandonAll, { url: `${url}never` })).toBe("done");
    await eventually("the end of the request", () => (unanswered === 0 ? true : undefined), 3_000);
    expect(await innocent).toBe("waited");
  });

  it("are warned of what they do not wait for", async () => {
    const { status, logLines } = await post("action", "runtime:unawaited", { name: "unawaited" });
    expect(status).toBe("success");
    expect(logLines[0]).toMatch(/^\[WARN\] 1 unawaited operation: \[mutation\]\. /);
  });

  it("fail when they end their process, and the next one gets another", async () => {
    expect((await failure(http().action(api.node.exit, {}))).message).toContain("Transient error while executing action");
    expect(await http().action(api.node.count, {})).toBe(1);
  });

  it("survive a deployment that happens while they run", async () => {
    const running = Array.from({ length: 3 }, async () => await http().action(api.runtime.wait, { ms: 4_000 }));
    app.write("convex/later.ts", "export const unused = 1;\n");
    const stop = { now: false };
    const steady = (async (): Promise<number> => {
      let calls = 0;
      while (!stop.now) {
        await http().action(api.runtime.wait, { ms: 1 });
        await http().action(api.node.count, {});
        calls += 1;
      }
      return calls;
    })();
    await app.push();
    app.remove("convex/later.ts");
    await app.push();
    stop.now = true;
    expect(await steady).toBeGreaterThan(0);
    expect(await Promise.all(running)).toEqual(["waited", "waited", "waited"]);
    // Processes of code that is gone take their files along.
    await eventually("the end of old files", () =>
      readdirSync(join(server.dataDir, "action-hosts")).length <= 1 ? true : undefined,
    );
  });
});

describe("HTTP actions", () => {
  it("learn that their client has left, and end by themselves", async () => {
    const abort = new AbortController();
    const response = await fetch(`${server.siteUrl}/stream`, { signal: abort.signal });
    const reader = response.body?.getReader();
    await reader?.read();
    abort.abort();
    await eventually("the last words of the action", async () =>
      (await http().query(api.counters.get, { name: "left" })) > 0 ? true : undefined,
    );
  });

  it("may answer without reading what they are sent", async () => {
    for (let call = 0; call < 5; call += 1) {
      const response = await fetch(`${server.siteUrl}/impatient`, { method: "POST", body: "x".repeat(3_000_000) });
      expect([response.status, await response.text()]).toEqual([200, "enough"]);
    }
  });
});

it("is as small after all this as a server that works should be", () => {
  expect(residentMegabytes(server.enginePid())).toBeLessThan(1_500);
});
