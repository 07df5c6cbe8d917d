"use node";

import { spawn } from "node:child_process";
import { writeSync } from "node:fs";

import { v } from "convex/values";

import { actionGeneric as action } from "convex/server";

export const end = action({
  args: { how: v.string() },
  handler: async (_ctx, { how }): Promise<null> => {
    switch (how) {
      case "exit":
        process.exit(3);
        break;
      case "abort":
        process.abort();
        break;
      case "segfault":
        process.kill(process.pid, "SIGSEGV");
        break;
      case "child":
        // A child that holds on to whatever it inherits must not keep the engine waiting.
        spawn("sleep", ["30"], { detached: true, stdio: "inherit" }).unref();
        process.exit(4);
        break;
      default:
        setTimeout(() => {
          throw new Error("nobody catches this");
        }, 1);
    }
    await new Promise((wake) => setTimeout(wake, 10_000));
    return null;
  },
});

/** Prints past the console, as native code does. */
export const print = action({
  args: {},
  handler: (): string => {
    process.stdout.write("to standard output\n");
    writeSync(1, Buffer.from([0, 1, 2, 3, 255, 10]));
    writeSync(2, "to standard error\n");
    return "printed";
  },
});

export const stack = action({
  args: {},
  handler: (): string => new Error("here").stack ?? "",
});
