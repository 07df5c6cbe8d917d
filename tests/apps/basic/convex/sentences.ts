import { v } from "convex/values";

import { mutation, query } from "./_generated/server";

export const add = mutation({
  args: { from: v.number(), texts: v.array(v.string()) },
  handler: async (ctx, { from, texts }) => {
    for (const [at, text] of texts.entries()) {
      await ctx.db.insert("sentences", { number: from + at, text });
    }
  },
});

/** The numbers of the best sentences, in order. */
export const best = query({
  args: { words: v.string(), count: v.number() },
  handler: async (ctx, { words, count }) => {
    const found = await ctx.db
      .query("sentences")
      .withSearchIndex("by_text", (q) => q.search("text", words))
      .take(count);
    return found.map((sentence) => sentence.number);
  },
});
