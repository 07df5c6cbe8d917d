import { describe, expect, it } from "vitest";

import { StackTranslator } from "../src/stack-trace.ts";

/** Line 1 of the bundle is line 12 of the source; line 2 is the client package's own. */
const MAP = JSON.stringify({
  version: 3,
  sources: ["../convex/messages.ts", "../node_modules/convex/src/server/impl/registration_impl.ts"],
  names: [],
  // [column 0 -> source 0, line 11, column 2], [column 0 -> source 1, line 20, column 0]
  mappings: "AAWE;ACSF",
});

function translate(...lines: string[]): string[] {
  return new StackTranslator((path) => (path === "messages.js" ? MAP : undefined)).translate(lines);
}

describe("a stack in an action host", () => {
  it("points into the author's sources, whatever the host calls the file", () => {
    expect(translate("    at handler (messages.js:1:5)")).toEqual(["    at handler (../convex/messages.ts:12:3)"]);
    expect(translate("    at async file:///tmp/1/7/messages.js?x:1:5")).toEqual([
      "    at async <anonymous> (../convex/messages.ts:12:3)",
    ]);
  });

  it("leaves out what has no source, and the client package at either end", () => {
    expect(
      translate(
        "    at invoke (messages.js:2:1)",
        "    at handler (messages.js:1:5)",
        "    at node:internal/process:1:2",
        "    at async Promise.all (index 0)",
        "    at again (messages.js:1:5)",
        "    at async Promise.all (index 1)",
      ),
    ).toEqual([
      "    at handler (../convex/messages.ts:12:3)",
      "    at async Promise.all (index 0)",
      "    at again (../convex/messages.ts:12:3)",
    ]);
    expect(translate("no frame", "    at x (other.js:1:1)")).toEqual([]);
  });
});
