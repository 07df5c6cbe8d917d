/** What the tests of transactions need. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  ledger: defineTable({ n: v.number() }),
  counters: defineTable({ name: v.string(), value: v.number() }).index("by_name", ["name"]),
  rows: defineTable({ n: v.number(), group: v.string(), nested: v.optional(v.any()) }).index("by_n", ["n"]),
  blobs: defineTable({ text: v.string() }),
});
