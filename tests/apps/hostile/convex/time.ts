/** Functions that never come back. */

import { queryGeneric as query } from "convex/server";

export const loop = query({
  args: {},
  handler: (): null => {
    for (;;) {
      // On and on.
    }
  },
});

export const recursion = query({
  args: {},
  handler: (): number => {
    const deeper = (n: number): number => deeper(n + 1) + 1;
    return deeper(0);
  },
});

export const microtasks = query({
  args: {},
  handler: async (): Promise<null> => {
    for (;;) {
      await Promise.resolve();
    }
  },
});

/** Recursion that catches its own end and goes on. */
export const stubbornRecursion = query({
  args: {},
  handler: (): null => {
    const deeper = (): void => {
      try {
        deeper();
      } finally {
        deeper();
      }
    };
    deeper();
    return null;
  },
});

export const regularExpression = query({
  args: {},
  handler: (): boolean => /^(?:a+)+$/.test(`${"a".repeat(60)}b`),
});

export const never = query({
  args: {},
  handler: async (): Promise<null> => {
    await new Promise(() => undefined);
    return null;
  },
});
