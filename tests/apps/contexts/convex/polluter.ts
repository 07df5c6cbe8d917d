/** Changes everything that it can reach. */
import { mutationGeneric } from "convex/server";

export const pollute = mutationGeneric({
  args: {},
  handler: async () => {
    (globalThis as unknown as Record<string, unknown>).left = "by polluter";
    (Object.prototype as Record<string, unknown>).left = "by polluter";
    Array.prototype.map = () => ["mine"] as never[];
    RegExp.prototype.test = () => true;
    (Uint8Array.prototype as unknown as Record<string, unknown>).left = "by polluter";
    /(s)ecret/.exec("secret");
    return [1].map((n) => n);
  },
});
