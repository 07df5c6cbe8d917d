/** An index that is built, but not to be queried yet. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) }).index("by_group", {
    fields: ["group"],
    staged: true,
  }),
  notes: defineTable({ text: v.any() }),
});
