import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  rows: defineTable({ n: v.number() }),
  done: defineTable({ job: v.number(), dueMs: v.number(), startedMs: v.number() }),
});
