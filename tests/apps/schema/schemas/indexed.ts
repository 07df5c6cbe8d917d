/** Indexes of every shape on a table for many rows. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) })
    .index("by_group", ["group"])
    .index("by_rank", ["nested.rank"])
    .index("by_group_and_n", ["group", "n"]),
  notes: defineTable({ text: v.any() }),
});
