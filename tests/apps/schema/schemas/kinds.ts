/** One table for each kind of validator. */

import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  null: defineTable({ x: v.null() }),
  number: defineTable({ x: v.number() }),
  int64: defineTable({ x: v.int64() }),
  commitTs: defineTable({ x: v.commitTs() }),
  boolean: defineTable({ x: v.boolean() }),
  string: defineTable({ x: v.string() }),
  bytes: defineTable({ x: v.bytes() }),
  anything: defineTable({ x: v.any() }),
  literalString: defineTable({ x: v.literal("on") }),
  literalNumber: defineTable({ x: v.literal(1) }),
  literalInt64: defineTable({ x: v.literal(2n) }),
  literalBoolean: defineTable({ x: v.literal(true) }),
  id: defineTable({ x: v.id("string") }),
  idOfFile: defineTable({ x: v.id("_storage") }),
  idOfJob: defineTable({ x: v.id("_scheduled_functions") }),
  array: defineTable({ x: v.array(v.number()) }),
  record: defineTable({ x: v.record(v.string(), v.number()) }),
  recordOfIds: defineTable({ x: v.record(v.id("string"), v.boolean()) }),
  object: defineTable({ x: v.object({ a: v.string(), b: v.optional(v.number()) }) }),
  union: defineTable({ x: v.union(v.string(), v.null()) }),
  unionOfOne: defineTable({ x: v.union(v.string()) }),
  never: defineTable({ x: v.union() }),
  optional: defineTable({ x: v.optional(v.string()) }),
  deep: defineTable({ x: v.array(v.object({ y: v.record(v.string(), v.union(v.object({ z: v.literal("z") }))) })) }),
  variants: defineTable(v.union(v.object({ kind: v.literal("a"), a: v.string() }), v.object({ kind: v.literal("b"), b: v.number() }))),
  loose: defineTable(v.any()),
});
