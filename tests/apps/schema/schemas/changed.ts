/** Like `enabled`, but the same name stands for other fields. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) }).index("by_group", ["n"]),
  notes: defineTable({ text: v.any() }),
});
