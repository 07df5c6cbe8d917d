/** Like `narrow`, with three indexes. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.record(v.string(), v.number())), extra: v.optional(v.null()) })
    .index("by_n", ["n"])
    .index("by_group", ["group"])
    .index("by_both", ["group", "n"]),
  notes: defineTable({ text: v.any() }),
});
