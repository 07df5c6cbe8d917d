/** An action that would count its calls if their contexts were one. */
import { actionGeneric } from "convex/server";

let calls = 0;

export const count = actionGeneric({
  args: {},
  handler: () => {
    calls += 1;
    return calls;
  },
});
