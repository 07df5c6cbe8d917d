import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  runs: defineTable({ group: v.string(), n: v.number() }).index("by_group", ["group", "n"]),
  notes: defineTable({ group: v.string(), text: v.string() }).index("by_group", ["group"]),
  counters: defineTable({ group: v.string(), value: v.number() }).index("by_group", ["group"]),
});
