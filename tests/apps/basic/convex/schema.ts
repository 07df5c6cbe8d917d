import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({ author: v.string(), body: v.string() }).index("by_author", ["author"]),
  counters: defineTable({ name: v.string(), value: v.number() }).index("by_name", ["name"]),
  /** Anything at all. */
  values: defineTable({ value: v.any() }),
  sentences: defineTable({ number: v.number(), text: v.string() }).searchIndex("by_text", { searchField: "text" }),
  log: defineTable({ session: v.string(), n: v.number() }).index("by_session", ["session"]),
});
