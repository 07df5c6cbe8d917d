/** Corners of what functions may do, each with the exact answer: errors, results, the console, what is left running. */

import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { runApp } from "../src/running-app.ts";
import { eventually } from "../src/server.ts";

const running = await runApp("platform");

/** What the HTTP API answers. */
interface Answer {
  value?: unknown;
  errorMessage?: string;
  errorData?: unknown;
  logLines: string[];
}

async function post(kind: "query" | "mutation" | "action", path: string, args: Record<string, unknown> = {}): Promise<Answer> {
  const response = await fetch(`${running.server.url}/api/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args, format: "json" }),
  });
  const answer = (await response.json()) as Partial<Answer>;
  return { ...answer, logLines: answer.logLines ?? [], ...(answer.errorMessage === undefined ? {} : { errorMessage: withoutId(answer.errorMessage) }) };
}

function withoutId(text: string): string {
  return text.replace(/^\[Request ID: [0-9a-f]{16}\] /, "");
}

const FRAME = /\n {4}at .*\(\.\.\/convex\/edges\.ts:\d+:\d+\)/g;

describe("what a function throws", () => {
  const thrown = async (what: string): Promise<{ name: string; message: string }> => await running.calls.query("edges:thrown", { what });

  it.each([
    ["string", "Uncaught foo\n"],
    ["number", "Uncaught 5\n"],
    ["object", "Uncaught #<Object>\n"],
    ["undefined", "Uncaught undefined\n"],
    ["symbol", "Uncaught Symbol(x)\n"],
    ["emptyMessage", "Uncaught Error\n"],
    ["emptyName", "Uncaught text\n"],
    ["nothing", "Uncaught\n"],
    ["subclass", "Uncaught TypeError: text\n"],
    ["badData", "Invalid data of a ConvexError: key must be a string at line 1 column 2\n"],
  ])("is described when it is a thing like `%s`", async (what, text) => {
    const { name, message } = await thrown(what);
    expect({ name, message: message.replace(FRAME, "") }).toEqual({ name: "Error", message: text });
  });

  it("has its frames, one a line", async () => {
    expect((await thrown("subclass")).message).toMatch(/^Uncaught TypeError: text\n {4}at handler \(\.\.\/convex\/edges\.ts:\d+:\d+\)\n$/);
  });

  it("is cut when it is long", async () => {
    const { message } = await thrown("long");
    expect(message.split("\n")[0]).toHaveLength(65_536);
  });

  it("keeps the data of a ConvexError, also when there is none", async () => {
    expect((await post("query", "edges:throwing", { what: "data" })).errorMessage).toContain("Could not find public function");
    expect(await thrown("data")).toMatchObject({ name: "ConvexError" });
    expect(await thrown("noData")).toMatchObject({ name: "ConvexError" });
  });
});

describe("what a function returns", () => {
  it.each([
    ["query", "Uncaught Error: Return value is a Query. Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`."],
    ["loneSurrogate", "Function edges.js:returning failed. Could not parse return value as json: unexpected end of hex escape at line 1 column 8"],
    ["deep", "Function edges.js:returning return value invalid: Value is too nested (nested 65 levels deep > maximum nesting 64)"],
    ["long", "Function edges.js:returning return value invalid: Array length is too long (8193 > maximum length 8192)"],
    ["wide", "Function edges.js:returning return value invalid: Object has too many fields (1025 > maximum number 1024)"],
  ])("is refused when it is `%s`", async (what, text) => {
    const { errorMessage } = await post("query", "edges:returning", { what });
    expect(errorMessage?.replace(/\n {4}at .*/g, "")).toBe(`Server Error\n${text}\n`);
  });

  it("may be an object without a prototype", async () => {
    expect(await post("query", "edges:returning", { what: "noPrototype" })).toMatchObject({ value: {} });
  });

  it("and takes is validated in nested calls, and the text has no stack", async () => {
    const expected = (end: string) =>
      [
        ["ArgumentValidationError: Value does not match validator.", "Path: .text", "Value: 5.0", "Validator: v.string()"],
        ["ReturnsValidationError: Value does not match validator.", "", "Value: 1.0", "Validator: v.string()"],
      ].map((lines) => ({ name: "Error", message: lines.join("\n") + end }));
    expect(await running.calls.query("edges:nestedMismatch")).toEqual(expected(""));
    // What an action calls is a call of its own, whose text is that of any call.
    expect(await running.calls.action("edges:actionMismatch")).toEqual(expected("\n"));
  });
});

describe("process.env", () => {
  it("has strings or nothing, under proper names, and cannot be changed", async () => {
    const invalid = (name: string) => ({
      name: "Error",
      message: `Invalid environment variable name ${JSON.stringify(name)}: names have letters, digits and underscores`,
    });
    expect(await running.calls.query("edges:environment")).toEqual({
      names: ["a b", "1x", ""].map(invalid),
      unset: null,
      assigned: { name: "TypeError", message: "process.env is read-only in functions; set variables with `npx convex env set`" },
    });
  });
});

describe("console.trace", () => {
  it("is one line: what it was given, then the stack", async () => {
    const { logLines } = await post("mutation", "edges:traced");
    expect(logLines).toHaveLength(2);
    expect(logLines[0]).toMatch(/^\[LOG\] 'here' \{\n {2}a: 1\n\}\n {4}at handler \(\.\.\/convex\/edges\.ts:\d+:\d+\)$/);
    expect(logLines[1]).toMatch(/^\[LOG\] \n {4}at handler \(/);
  });

  it("is so in Node too", async () => {
    const { logLines } = await post("action", "node:traced");
    expect(logLines).toHaveLength(1);
    expect(logLines[0]).toMatch(/^\[LOG\] 'here' 1\n {4}at handler \(\.\.\/convex\/node\.ts:\d+:\d+\)/);
  });
});

describe("a call of the host that does not exist", () => {
  it.each([["query", "edges:unknownJsCallInQuery"], ["action", "edges:unknownJsCallInAction"], ["action", "node:unknownJsCall"]] as const)(
    "ends a %s, %s, whether or not it is caught",
    async (kind, path) => {
      expect((await post(kind, path)).errorMessage).toBe("Server Error\nUnknown JS syscall: nonsense\n");
    },
  );
});

describe("fetch", () => {
  let other: Server;
  let requests = 0;

  beforeAll(async () => {
    other = createServer((_request, response) => {
      requests += 1;
      response.end();
    });
    await new Promise<void>((ready) => other.listen(0, "127.0.0.1", ready));
  });

  afterAll(() => {
    other.close();
  });

  it("sends nothing under a signal that was aborted before", async () => {
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
    expect(await running.calls.action("edges:abortedBefore", { url })).toMatchObject({ name: "AbortError" });
    expect(requests).toBe(0);
  });
});

describe("what one action calls at once", () => {
  it("is carried out 32 at a time, so that it leaves room for others", async () => {
    const limit = 32;
    const open: (() => void)[] = [];
    let most = 0;
    let isReleased = false;
    const other = createServer((_request, response) => {
      open.push(() => { response.end(); });
      most = Math.max(most, open.length);
      if (isReleased) {
        open.pop()?.();
      } else if (open.length === limit) {
        // Any that are too many get the time to arrive.
        setTimeout(() => {
          isReleased = true;
          for (const answer of open.splice(0)) {
            answer();
          }
        }, 500);
      }
    });
    await new Promise<void>((ready) => other.listen(0, "127.0.0.1", ready));
    try {
      const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
      expect(await running.calls.action("edges:crowd", { url, calls: 40 })).toBe(40);
      expect(most).toBe(limit);
    } finally {
      other.close();
      other.closeAllConnections();
    }
  });
});

describe("an action in Node", () => {
  it("may have a thousand operations under way, and is told so", async () => {
    expect(await running.calls.action("node:atOnce", { calls: 300 })).toEqual({ value: 300 });
    expect(await running.calls.action("node:atOnce", { calls: 1001 })).toMatchObject({
      message: expect.stringMatching(/^Too many concurrent operations\. /) as string,
    });
  });

  it("is warned of what it does not wait for", async () => {
    expect((await post("action", "node:forgetful")).logLines).toEqual([
      "[WARN] 1 unawaited operation: [query]. Async operations should be awaited or they might not run. See https://docs.convex.dev/functions/actions#dangling-promises for more information.",
    ]);
  });

  it("hears of arguments of host calls that are not JSON", async () => {
    expect(await running.calls.action("node:notJson")).toMatchObject({ name: "Error", message: expect.stringMatching(/^Received invalid json: /) as string });
  });

  it("that comes right after one that failed with its process finds another process", async () => {
    for (let round = 0; round < 5; round += 1) {
      expect((await post("action", "node:leaveRejection")).errorMessage).toMatch(/^Server Error\nUncaught Error: left behind\n/);
      expect(await post("action", "node:ping")).toMatchObject({ value: "pong" });
    }
  });

  it("does not outlive its process, whatever it has done to keep it", async () => {
    // The second time in a process apart from others.
    for (let round = 0; round < 2; round += 1) {
      const { errorMessage } = await post("action", "node:leaveRejectionAndStay");
      const pid = Number(/left behind in (\d+)/.exec(String(errorMessage))?.[1]);
      expect(existsSync(`/proc/${pid}`), "its end is held up").toBe(true);
      await eventually("the end of the process", () => (existsSync(`/proc/${pid}`) ? undefined : true));
    }
  });
});

describe("a path that is none", () => {
  it("is said to be so once", async () => {
    const response = await fetch(`${running.server.url}/api/query`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path: "a b:c", args: {} }),
    });
    expect(await response.json()).toEqual({
      code: "BadConvexFunctionIdentifier",
      message:
        "a b:c is not a valid path to a Convex function. Path component a b has invalid character ' ': Path components can only contain alphanumeric characters, underscores, or periods",
    });
  });
});
