import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  /** Anything at all, in every order. */
  values: defineTable({ set: v.string(), x: v.optional(v.any()), n: v.optional(v.number()) })
    .index("by_x", ["x"])
    .index("by_set_x", ["set", "x"]),
  items: defineTable({ group: v.string(), n: v.number(), pad: v.optional(v.string()) }).index("by_group_n", ["group", "n"]),
  /** Its index goes through a nested object. */
  nested: defineTable({ set: v.string(), meta: v.optional(v.any()) }).index("by_set_rank", ["set", "meta.rank"]),
  stamps: defineTable({ name: v.string(), ts: v.optional(v.commitTs()) }).index("by_ts", ["ts"]).index("by_name_ts", ["name", "ts"]),
  /** What transactions are tried on; see `history.ts`. */
  ledger: defineTable({ group: v.number(), n: v.number() }).index("by_group_n", ["group", "n"]).index("by_n", ["n"]),
  typed: defineTable({
    name: v.string(),
    age: v.optional(v.number()),
    owner: v.optional(v.id("items")),
    kind: v.optional(v.union(v.literal("a"), v.literal(1.5))),
  }),
});
