/** Actions of a module that keeps nothing, as far as its code tells. */
import { actionGeneric } from "convex/server";
import { v } from "convex/values";

/** With `__proto__` it changes what all objects of its context inherit, which no analysis sees. */
export const change = actionGeneric({
  args: { outer: v.string(), inner: v.string(), isNoticed: v.boolean() },
  handler: (_ctx, { outer, inner, isNoticed }): unknown => {
    if (isNoticed) {
      console.log("begins");
    }
    const { [outer]: target = {} } = {} as Record<string, Record<string, unknown>>;
    target[inner] = "by an action";
    return ({} as Record<string, unknown>)[inner];
  },
});

export const look = actionGeneric({
  args: {},
  handler: () => ({} as Record<string, unknown>).left ?? null,
});
