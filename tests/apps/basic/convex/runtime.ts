import { createFunctionHandle, type FunctionHandle, paginationOptsValidator } from "convex/server";
import { ConvexError, v } from "convex/values";

import { api, internal } from "./_generated/api";
import type { Id } from "./_generated/dataModel";
import { action, internalMutation, internalQuery, mutation, query } from "./_generated/server";
import { failDeep } from "./deep";

/** Returns before its helper has done anything. */
export const forget = mutation({
  args: { session: v.string() },
  handler: (ctx, { session }): string => {
    const helper = async (): Promise<void> => {
      for (let n = 0; n < 5; n += 1) {
        await ctx.db.insert("log", { session, n });
        await ctx.db
          .query("log")
          .withIndex("by_session", (q) => q.eq("session", session))
          .collect();
      }
      await ctx.scheduler.runAfter(0, internal.runtime.appendLater, { session, n: 99 });
    };
    void helper();
    return "early";
  },
});

export const appendLater = internalMutation({
  args: { session: v.string(), n: v.number() },
  handler: async (ctx, row) => {
    await ctx.db.insert("log", row);
  },
});

/** Forgets, then fails in what it forgot. */
export const forgetAndFail = mutation({
  args: { session: v.string() },
  handler: (ctx, { session }): string => {
    const helper = async (): Promise<void> => {
      await ctx.db.insert("log", { session, n: 0 });
      await ctx.db.insert("log", { session, n: 1 });
      throw new Error("nobody looks");
    };
    void helper();
    return "early";
  },
});

export const forgetNested = mutation({
  args: { session: v.string() },
  handler: async (ctx, { session }): Promise<number> => {
    await ctx.runMutation(api.runtime.forget, { session });
    const rows = await ctx.runQuery(api.counters.entries, { session });
    return rows.length;
  },
});

export const never = query({
  args: {},
  handler: async (): Promise<null> => {
    await new Promise(() => undefined);
    return null;
  },
});

export const recurse = query({
  args: {},
  handler: (): number => {
    const deeper = (n: number): number => deeper(n + 1) + 1;
    return deeper(0);
  },
});

/** Calls the host from the very end of the stack. */
export const recurseIntoHost = query({
  args: {},
  handler: (ctx): string => {
    let calls = 0;
    const deeper = (): void => {
      try {
        deeper();
      } catch {
        // No room: try again from one frame up.
      }
      if (calls < 200) {
        calls += 1;
        ctx.db.normalizeId("messages", "x");
        void ctx.db.query("messages").order("desc").take(1);
      }
    };
    deeper();
    return "survived";
  },
});

export const heapBomb = query({
  args: {},
  handler: (): number => {
    const rows: number[][] = [];
    for (;;) {
      rows.push(new Array<number>(2_000_000).fill(rows.length));
    }
  },
});

export const print = mutation({
  args: {},
  handler: () => {
    console.log("hi", { a: 1 }, [1, "a", [2]], 10n, -0, null, undefined);
    console.warn(new Map([["k", new Set([1])]]), new Error("boom"));
    console.debug("it's");
    console.time();
    console.timeEnd();
    console.timeEnd("nobody");
  },
});

export const printMuch = query({
  args: { lines: v.number(), length: v.number() },
  handler: (_ctx, { lines, length }) => {
    for (let line = 0; line < lines; line += 1) {
      console.log("x".repeat(length));
    }
  },
});

export const throwData = internalQuery({
  args: {},
  handler: (): null => {
    throw new ConvexError({ code: "DEEP", amount: 7n });
  },
});

export const throwDataNested = query({
  args: {},
  handler: async (ctx): Promise<null> => await ctx.runQuery(internal.runtime.throwData, {}),
});

export const throwDataThroughAction = action({
  args: {},
  handler: async (ctx): Promise<null> => await ctx.runQuery(api.runtime.throwDataNested, {}),
});

/** Calls of nested functions that are made at once run one after the other, each on what the one before left. */
export const nestedAtOnce = mutation({
  args: { name: v.string() },
  handler: async (ctx, { name }): Promise<number[]> =>
    await Promise.all([
      ctx.runMutation(api.counters.add, { name, by: 1 }),
      ctx.runQuery(api.counters.get, { name }),
      ctx.runMutation(api.counters.add, { name, by: 10 }),
      ctx.runQuery(api.counters.get, { name }),
    ]),
});

export const schedule = mutation({
  args: { session: v.string(), delayMs: v.number() },
  handler: async (ctx, { session, delayMs }): Promise<Id<"_scheduled_functions">> =>
    await ctx.scheduler.runAfter(delayMs, internal.runtime.appendLater, { session, n: 1 }),
});

export const cancel = mutation({
  args: { id: v.id("_scheduled_functions") },
  handler: async (ctx, { id }) => {
    await ctx.scheduler.cancel(id);
  },
});

export const job = query({
  args: { id: v.id("_scheduled_functions") },
  handler: async (ctx, { id }) => (await ctx.db.system.get(id))?.state.kind ?? null,
});

export const page = query({
  args: { session: v.string(), paginationOpts: paginationOptsValidator },
  handler: async (ctx, { session, paginationOpts }) =>
    await ctx.db
      .query("log")
      .withIndex("by_session", (q) => q.eq("session", session))
      .paginate(paginationOpts),
});

export const digest = query({
  args: { text: v.string() },
  handler: async (_ctx, { text }): Promise<string> => {
    const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
    return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  },
});

export const handleOf = query({
  args: {},
  handler: async (): Promise<string> => await createFunctionHandle(api.counters.add),
});

export const callHandle = mutation({
  args: { handle: v.string(), name: v.string() },
  handler: async (ctx, { handle, name }): Promise<unknown> =>
    await ctx.runMutation(handle as FunctionHandle<"mutation">, { name, by: 5 }),
});

export const environment = action({
  args: {},
  handler: () => ({ setting: process.env.SETTING ?? null, site: process.env.CONVEX_SITE_URL ?? null }),
});

export const download = action({
  args: { url: v.string() },
  handler: async (_ctx, { url }): Promise<{ status: number; body: unknown; agent: string | null }> => {
    const response = await fetch(url, { method: "POST", body: JSON.stringify({ ping: true }) });
    return { status: response.status, body: await response.json(), agent: response.headers.get("x-agent") };
  },
});

export const importLater = action({
  args: {},
  handler: async (): Promise<boolean> => {
    const module = await import("./counters");
    return typeof module.add === "function";
  },
});

/** Leaves a rejection behind that nobody handles, while others run in the same process. */
export const reject = action({
  args: {},
  handler: async (): Promise<string> => {
    void (async () => {
      await new Promise((wake) => setTimeout(wake, 20));
      throw new Error("stray");
    })();
    await new Promise((wake) => setTimeout(wake, 2_000));
    return "unharmed";
  },
});

export const throwInTimer = action({
  args: {},
  handler: async (): Promise<string> => {
    setTimeout(() => {
      throw new Error("in a timer");
    }, 20);
    await new Promise((wake) => setTimeout(wake, 2_000));
    return "unharmed";
  },
});

export const wait = action({
  args: { ms: v.number() },
  handler: async (_ctx, { ms }): Promise<string> => {
    await new Promise((wake) => setTimeout(wake, ms));
    return "waited";
  },
});

export const unawaited = action({
  args: { name: v.string() },
  handler: (ctx, { name }): null => {
    void ctx.runMutation(api.counters.add, { name, by: 1 });
    return null;
  },
});

/** Changes what all functions share: the next call must not see it. */
export const pollute = query({
  args: {},
  handler: (): unknown => {
    const shared = [URL, URL.prototype, Uint8Array, Uint8Array.prototype, Headers.prototype] as unknown as Record<string, unknown>[];
    const seen = shared.map((object) => object.mark ?? null);
    for (const object of shared) {
      object.mark = "left behind";
    }
    return seen;
  },
});

export const failShared = query({ args: {}, handler: (): null => failDeep() });

/** Does not wait for a mutation that fails, nor for a request that never ends. */
export const abandonAll = action({
  args: { url: v.string() },
  handler: async (ctx, { url }): Promise<string> => {
    void fetch(url);
    setInterval(() => undefined, 10);
    await new Promise((wake) => setTimeout(wake, 1));
    // Last, because it takes less than a millisecond to fail.
    void ctx.runMutation(api.misc.failWithData, {});
    return "done";
  },
});

/** Waits for something else than the mutation that fails. */
export const rejectFromHost = action({
  args: {},
  handler: async (ctx): Promise<string> => {
    void ctx.runMutation(api.misc.failWithData, {});
    await new Promise((wake) => setTimeout(wake, 2_000));
    return "unharmed";
  },
});
