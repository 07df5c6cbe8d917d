/** The fund-transfer workload: accounts are looked up by their primary key, as the peers do. */

import { v } from "convex/values";

import { mutation, query } from "./_generated/server";

/** Reads two accounts, checks the balance, writes both. False if there is not enough. */
export const transfer = mutation({
  args: { from: v.id("accounts"), to: v.id("accounts"), amount: v.number() },
  handler: async (ctx, { from, to, amount }) => {
    const sender = await ctx.db.get(from);
    const receiver = await ctx.db.get(to);
    if (sender === null || receiver === null) {
      throw new Error("there is no such account");
    }
    if (sender.balance < amount) {
      return false;
    }
    await ctx.db.patch(from, { balance: sender.balance - amount });
    await ctx.db.patch(to, { balance: receiver.balance + amount });
    return true;
  },
});

export const seed = mutation({
  args: { first: v.number(), count: v.number(), balance: v.number() },
  handler: async (ctx, { first, count, balance }) => {
    for (let number = first; number < first + count; number += 1) {
      await ctx.db.insert("accounts", { number, balance });
    }
  },
});

/** Ids and sum of some accounts, and where to go on. */
export const page = query({
  args: { cursor: v.union(v.string(), v.null()), count: v.number() },
  handler: async (ctx, { cursor, count }) => {
    const found = await ctx.db.query("accounts").paginate({ cursor, numItems: count });
    return {
      ids: found.page.map((account) => account._id),
      total: found.page.reduce((sum, account) => sum + account.balance, 0),
      cursor: found.continueCursor,
      isDone: found.isDone,
    };
  },
});
