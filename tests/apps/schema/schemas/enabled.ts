/** Like `staged`, with its index in use. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) }).index("by_group", ["group"]),
  notes: defineTable({ text: v.any() }),
});
