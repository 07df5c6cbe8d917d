import { v } from "convex/values";

import { actionGeneric as action } from "convex/server";

export const promises = action({
  args: { count: v.number() },
  handler: async (_ctx, { count }): Promise<number> => {
    const all = Array.from({ length: count }, async (_, n) => {
      await new Promise((wake) => setTimeout(wake, n % 50));
      return n;
    });
    return (await Promise.all(all)).length;
  },
});

export const memory = action({
  args: {},
  handler: async (): Promise<number> => {
    const rows: number[][] = [];
    for (;;) {
      rows.push(new Array<number>(1_000_000).fill(rows.length));
      await new Promise((wake) => setTimeout(wake, 0));
    }
  },
});

export const wait = action({
  args: { ms: v.number() },
  handler: async (_ctx, { ms }): Promise<string> => {
    await new Promise((wake) => setTimeout(wake, ms));
    return "waited";
  },
});

export const print = action({
  args: {},
  handler: (): string => {
    for (let line = 0; line < 1000; line += 1) {
      console.log("x".repeat(10_000));
    }
    return "logged";
  },
});
