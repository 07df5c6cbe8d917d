"use node";

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

import { v } from "convex/values";

import { api } from "./_generated/api";
import { action } from "./_generated/server";
import { failDeep } from "./deep";

let calls = 0;

/** Module state lasts while neither code nor environment change. */
export const count = action({
  args: {},
  handler: (): number => {
    calls += 1;
    return calls;
  },
});

export const hash = action({
  args: { text: v.string(), name: v.string() },
  handler: async (ctx, { text, name }): Promise<{ hash: string; value: number; ownSource: boolean; setting: string | null }> => {
    const value: number = await ctx.runMutation(api.counters.add, { name, by: 2 });
    console.log("hashing", { text });
    const source = await readFile(new URL(import.meta.url), "utf8");
    return {
      hash: createHash("sha256").update(text).digest("hex"),
      value,
      ownSource: source.length > 0,
      setting: process.env.SETTING ?? null,
    };
  },
});

export const fail = action({
  args: {},
  handler: (): null => {
    throw new Error("node on purpose");
  },
});

/** The error is thrown in a chunk that several modules share. */
export const failShared = action({ args: {}, handler: (): null => failDeep() });

export const exit = action({
  args: {},
  handler: (): null => {
    process.exit(3);
  },
});
