import { v } from "convex/values";

import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";

export const list = query({
  args: {},
  handler: async (ctx) => await ctx.db.query("messages").order("desc").take(100),
});

export const byAuthor = query({
  args: { author: v.string() },
  handler: async (ctx, { author }) =>
    await ctx.db
      .query("messages")
      .withIndex("by_author", (q) => q.eq("author", author))
      .collect(),
});

export const send = mutation({
  args: { author: v.string(), body: v.string() },
  returns: v.id("messages"),
  handler: async (ctx, { author, body }) => {
    console.log("sending", body);
    return await ctx.db.insert("messages", { author, body });
  },
});

export const sendLater = mutation({
  args: { author: v.string(), body: v.string(), delayMs: v.number() },
  handler: async (ctx, { delayMs, ...message }) => {
    await ctx.scheduler.runAfter(delayMs, internal.messages.deliver, message);
  },
});

export const deliver = internalMutation({
  args: { author: v.string(), body: v.string() },
  handler: async (ctx, message) => {
    await ctx.db.insert("messages", message);
  },
});
