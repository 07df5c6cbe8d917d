/** React's hooks in Chromium, with the current client and the oldest that is tested. */

import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { ListPage } from "../pages/list.ts";
import { launchBrowser } from "../src/browser.ts";
import { OLD_CLIENTS, oldClient } from "../src/old-client.ts";
import { PageServer } from "../src/page-server.ts";
import { runApp } from "../src/running-app.ts";
import { SubscriptionWatch } from "../src/subscription-watch.ts";
import { leave, watchPage } from "../src/watched-page.ts";

const oldest = oldClient(OLD_CLIENTS[0] ?? "");
const [{ server, calls }, browser] = await Promise.all([runApp("react"), launchBrowser()]);

afterAll(async () => {
  await browser.close();
});

function range(from: number, end: number): number[] {
  return Array.from({ length: end - from }, (_, index) => from + index);
}

/** What a test does in the page; `call` may be run there only. */
async function inPage<T>(tab: Page, call: (page: ListPage) => T | Promise<T>): Promise<T> {
  return await tab.evaluate<T>(`(${call.toString()})(window.page)`);
}

async function shows(tab: Page, id: string, text: string): Promise<void> {
  await expect.poll(async () => await tab.getByTestId(id).textContent(), { timeout: 20_000 }).toBe(text);
}

/** Everything that was shown under an id so far. */
async function history(tab: Page, id: string): Promise<string[]> {
  return (await inPage(tab, (page) => page.shown))[id] ?? [];
}

describe.each([
  ["the current client", undefined],
  [oldest.version, oldest.folder],
])("React with %s", (version, folder) => {
  let pages: PageServer;
  let watch: SubscriptionWatch;
  let lists = 0;
  let list = "";
  let tab: Page;
  /** What the page has sent, in order. */
  let sent: string[] = [];

  beforeAll(async () => {
    watch = new SubscriptionWatch(server.url);
    pages = await PageServer.start("list", folder);
  });

  afterAll(() => {
    pages.close();
    expect(watch.compared).toBeGreaterThan(20);
  });

  afterEach(async () => {
    await leave(tab, watch);
  });

  /** Opens the page on a list of its own that has these numbers. */
  async function open(numbers: number[]): Promise<void> {
    lists += 1;
    list = `${version} ${lists}`;
    await calls.mutation("items:insertMany", { list, numbers });
    tab = await (await browser.newContext()).newPage();
    watchPage(tab, watch);
    sent = [];
    tab.on("websocket", (socket) => {
      socket.on("framesent", ({ payload }) => sent.push(payload.toString()));
    });
    await tab.goto(pages.url({ server: server.url, list }));
    await shows(tab, "count", String(numbers.length));
  }

  it("loads pages one after the other, which follow what is inserted and removed in them", async () => {
    await open(range(0, 13).map((n) => n * 10));
    await shows(tab, "items", "0 10 20 30 40");
    await shows(tab, "status", "CanLoadMore");
    await inPage(tab, (page) => {
      page.loadMore();
    });
    await shows(tab, "items", "0 10 20 30 40 50 60 70 80 90");
    await calls.mutation("items:insertMany", { list, numbers: [5, 45, 55, 125] });
    await calls.mutation("items:remove", { list, numbers: [10, 20, 90] });
    // Pages keep their ends, whatever comes and goes.
    await shows(tab, "items", "0 5 30 40 45 50 55 60 70 80");
    await inPage(tab, (page) => {
      page.loadMore();
    });
    await shows(tab, "items", "0 5 30 40 45 50 55 60 70 80 100 110 120 125");
    await shows(tab, "status", "Exhausted");
    await calls.mutation("items:insertMany", { list, numbers: [200] });
    await shows(tab, "items", "0 5 30 40 45 50 55 60 70 80 100 110 120 125 200");
    expect((await history(tab, "status"))[0]).toBe("LoadingFirstPage");
  });

  it("splits a page that has grown, and shows no gap and nothing twice meanwhile", async () => {
    await open(range(0, 6).map((n) => n * 100));
    await shows(tab, "items", "0 100 200 300 400");
    const more = range(1, 100).filter((n) => n % 4 === 0);
    for (let at = 0; at < more.length; at += 5) {
      await calls.mutation("items:insertMany", { list, numbers: more.slice(at, at + 5) });
    }
    await shows(tab, "items", [0, ...more, 100, 200, 300, 400].join(" "));
    // The halves have ends from the beginning.
    await expect.poll(() => sent.some((frame) => frame.includes('"endCursor":"'))).toBe(true);
    for (const text of await history(tab, "items")) {
      const numbers = text.split(" ").filter((n) => n !== "").map(Number);
      expect(numbers, text).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    }
    await calls.mutation("items:remove", { list, numbers: more });
    await shows(tab, "items", "0 100 200 300 400");
  });

  it("shows what a mutation will do before it has done it, and takes back what fails", async () => {
    await open([1, 3]);
    await shows(tab, "items", "1 3");
    await inPage(tab, async (page) => await page.insert(2));
    await shows(tab, "items", "1 2 3");
    await shows(tab, "count", "3");
    expect(await history(tab, "items")).toEqual(["", "1 3", "1 (2) 3", "1 2 3"]);
    expect(await history(tab, "count")).toEqual(["loading", "2", "1002", "3"]);
    expect(await inPage(tab, async (page) => await page.insertAndFail(4))).toContain("it was not to be");
    await shows(tab, "count", "3");
    expect(await history(tab, "count")).toEqual(["loading", "2", "1002", "3", "1003", "3"]);
    await shows(tab, "items", "1 2 3");
  });

  it("watches queries that come and go, and runs actions", async () => {
    await open([1]);
    await calls.mutation("items:insertMany", { list: `${version} other`, numbers: [1, 2] });
    await tab.evaluate(
      ([one, other]) => {
        (window as unknown as { page: ListPage }).page.count([one ?? "", other ?? ""]);
      },
      [list, `${version} other`],
    );
    await shows(tab, "counts", `${list}: 1, ${version} other: 2`);
    expect(await inPage(tab, async (page) => await page.insertLater(7))).toBe("inserted 7");
    await shows(tab, "counts", `${list}: 2, ${version} other: 2`);
    await shows(tab, "items", "1 7");
    await tab.evaluate((one) => {
      (window as unknown as { page: ListPage }).page.count([one]);
    }, `${version} other`);
    await shows(tab, "counts", `${version} other: 2`);
    await calls.mutation("items:remove", { list: `${version} other`, numbers: [1] });
    await shows(tab, "counts", `${version} other: 1`);
  });

  it("says that the connection is lost when the engine is killed, and goes on where it was", async () => {
    await open([1]);
    await shows(tab, "connection", "connected");
    server.killEngine();
    // Sent while nobody listens, shown at once, and done once.
    const inserted = inPage(tab, async (page) => await Promise.all([page.insert(2), page.insert(3)]));
    await expect.poll(async () => (await history(tab, "connection")).some((text) => text.startsWith("disconnected")), { timeout: 20_000 }).toBe(true);
    await inserted;
    await shows(tab, "items", "1 2 3");
    await shows(tab, "count", "3");
    await shows(tab, "connection", "connected");
    const other = [4, 5];
    await calls.mutation("items:insertMany", { list, numbers: other });
    await shows(tab, "count", "5");
  });
});
