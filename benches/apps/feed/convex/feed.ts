/** Channels of messages, of which one message changes at a time while many watch. */

import { v } from "convex/values";

import { mutation, query } from "./_generated/server";

const FILLER = "a message of a conversation that goes on and on, and about which nobody has anything to say";

export const seed = mutation({
  args: { first: v.number(), channels: v.number(), messages: v.number() },
  handler: async (ctx, { first, channels, messages }) => {
    for (let channel = first; channel < first + channels; channel += 1) {
      for (let position = 0; position < messages; position += 1) {
        await ctx.db.insert("messages", { channel, position, author: `author ${position % 7}`, body: `v=0 ${position} ${FILLER}` });
      }
    }
  },
});

export const list = query({
  args: { channel: v.number() },
  handler: async (ctx, { channel }) =>
    await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel))
      .collect(),
});

/** Changes one message, so that the list shows the version. */
export const touch = mutation({
  args: { channel: v.number(), position: v.number(), version: v.number() },
  handler: async (ctx, { channel, position, version }) => {
    const message = await ctx.db
      .query("messages")
      .withIndex("by_channel", (q) => q.eq("channel", channel).eq("position", position))
      .unique();
    if (message === null) {
      throw new Error("there is no such message");
    }
    await ctx.db.patch(message._id, { body: `v=${version} ${position} ${FILLER}` });
  },
});
