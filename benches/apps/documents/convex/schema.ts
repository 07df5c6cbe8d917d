import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  documents: defineTable({ room: v.number(), number: v.number(), author: v.string(), body: v.string() })
    .index("by_number", ["number"])
    .index("by_room", ["room"]),
});
