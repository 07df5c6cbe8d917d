/** Like `rows`, but notes are strings. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.object({ rank: v.number() })) }),
  notes: defineTable({ text: v.string() }).index("by_text", ["text"]),
});
