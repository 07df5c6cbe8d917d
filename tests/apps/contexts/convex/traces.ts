/** Looks for what other calls may have left behind. */
import { queryGeneric } from "convex/server";

export const find = queryGeneric({
  args: {},
  handler: async () => {
    const anyone = globalThis as unknown as Record<string, unknown>;
    return [anyone.left ?? null, ({} as Record<string, unknown>).left ?? null, [1, 2].map((n) => n + 1), /^a+$/.test("b")];
  },
});
