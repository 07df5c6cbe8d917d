/** Keeps state from call to call, as its author wants it. */
import { queryGeneric } from "convex/server";
import { v } from "convex/values";

export const experimental_reuseContext = true;

const atEvaluation = process.env.MODE ?? "unset";
let calls = 0;
const kept = new Map<string, () => Promise<unknown>>();
let wake: (() => void) | undefined;

export const count = queryGeneric({
  args: { token: v.string() },
  handler: async () => {
    calls += 1;
    return calls;
  },
});

export const mode = queryGeneric({
  args: {},
  handler: async () => atEvaluation,
});

/** Leaves a part of itself behind that waits to be woken, and then reads. */
export const dangle = queryGeneric({
  args: { token: v.string() },
  handler: async (ctx, { token }) => {
    void (async () => {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
      console.log(`woken after ${token}`);
      await ctx.db.query("settings").collect();
      kept.set("late", async () => "read");
    })();
  },
});

/** Wakes what an earlier call has left; tells whether it got anywhere. */
export const wakeOthers = queryGeneric({
  args: { token: v.string() },
  handler: async (ctx) => {
    wake?.();
    await ctx.db.query("settings").first();
    return kept.has("late");
  },
});

export const pollute = queryGeneric({
  args: { token: v.string() },
  handler: async () => {
    (globalThis as unknown as Record<string, unknown>).left = "by reused";
    (Object.prototype as Record<string, unknown>).left = "by reused";
    Array.prototype.map = () => ["mine"] as never[];
    return [1].map((n) => n);
  },
});
