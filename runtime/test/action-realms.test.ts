import { describe, expect, it } from "vitest";

import { ActionContext, type ActionCode, type ActionServices } from "../src/action.ts";
import { type ActionRealm, ActionRealms } from "../src/action-realms.ts";
import { CodeCache } from "../src/modules.ts";
import { CAN_SHARE } from "../src/realm.ts";
import { StackTranslator } from "../src/stack-trace.ts";

const MODULES: Record<string, string> = {
  "m.js": `
    const made = {};
    export const ran = [];
    export const f = { invokeAction: async (id, args) => JSON.stringify([id, typeof made]) };
    export const late = { invokeAction: async () => {
      void (async () => { await null; await null; await Convex.asyncSyscall("op", "{}"); })();
      setTimeout(() => Convex.asyncSyscall("late", "{}"), 0);
      return "null";
    } };
    export const later = { invokeAction: async () => { await null; await null; setTimeout(() => ran.push("late"), 0); } };
    export const change = { invokeAction: async () => { Array.prototype.extra = 1; return "null"; } };
  `,
  "environment.js": `const seen = process.env.SET; export const f = { invokeAction: async () => JSON.stringify(seen) };`,
  "imports.js": `export const f = { invokeAction: async () => { const { f } = await import("./environment.js"); return await f.invokeAction(); } };`,
};

function code(version = "1"): ActionCode {
  return {
    version,
    read: (path) => MODULES[path],
    stacks: new StackTranslator(() => undefined),
    importSeed: "00".repeat(32),
    importTimeMs: 1,
  };
}

/** What an action did to the world. */
class World implements ActionServices {
  readonly done: string[] = [];
  syscall(op: string, _args: string, resolve: (value: string) => void): void {
    this.done.push(op);
    resolve("null");
  }
  log(_level: string, messages: string[]): void {
    this.done.push(...messages);
  }
  jsSyscall(): void {
    throw new Error("not part of this test");
  }
}

async function run(own: ActionRealm, path: string, name: string, env: Record<string, string> = {}, world = new World()): Promise<{ context: ActionContext; result: unknown }> {
  const context = new ActionContext(own, code(own.version), env, world);
  const target = (await context.export(path, name)) as { invokeAction(id: string, args: string): Promise<unknown> };
  const result = await context.run(() => target.invokeAction("id", "[{}]"));
  return { context, result };
}

describe.runIf(CAN_SHARE)("the realms of actions", () => {
  it("serve one action after the other", async () => {
    const realms = new ActionRealms(new CodeCache());
    const first = realms.take(code(), "m.js", true);
    const beside = realms.take(code(), "m.js", true);
    expect(beside).not.toBe(first);
    const { context, result } = await run(first, "m.js", "f");
    expect(result).toBe('["id","object"]');
    expect(context.isQuiet()).toBe(true);
    context.close();
    realms.give(first);
    expect(realms.take(code(), "m.js", true)).toBe(first);
  });

  it("are for those that may share, and for one version of the code", () => {
    const realms = new ActionRealms(new CodeCache());
    const shared = realms.take(code(), "m.js", true);
    realms.give(shared);
    const own = realms.take(code(), "m.js", false);
    expect(own.isShared).toBe(false);
    realms.give(own);
    expect(realms.take(code(), "m.js", true)).toBe(shared);
    realms.give(shared);
    expect(realms.take(code("2"), "m.js", true)).not.toBe(shared);
    realms.give(shared);
    expect(realms.take(code("2"), "m.js", true)).not.toBe(shared);
    realms.refuse("2", "m.js");
    expect(realms.take(code("2"), "m.js", true).isShared).toBe(false);
  });

  it("are not used again when their modules saw what is the action's own", async () => {
    for (const path of ["environment.js", "imports.js"]) {
      const realms = new ActionRealms(new CodeCache());
      const own = realms.take(code(), path, true);
      const { context, result } = await run(own, path, "f", { SET: "mine" });
      expect(result).toBe('"mine"');
      expect(own.isPure).toBe(false);
      context.close();
      realms.give(own);
      expect(realms.take(code(), path, true)).not.toBe(own);
    }
  });

  it("let nothing of an action that is over act for the next one", async () => {
    const realms = new ActionRealms(new CodeCache());
    const own = realms.take(code(), "m.js", true);
    const [mine, next] = [new World(), new World()];
    const { context } = await run(own, "m.js", "late", {}, mine);
    expect(context.isQuiet()).toBe(false);
    context.close();
    const other = new ActionContext(own, code(), {}, next);
    await other.load("m.js");
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(mine.done).not.toContain("late");
    expect(next.done).toEqual([]);
  });

  it("start no timer for an action that is over", async () => {
    const realms = new ActionRealms(new CodeCache());
    const own = realms.take(code(), "m.js", true);
    const [mine, next] = [new World(), new World()];
    const context = new ActionContext(own, code(), {}, mine);
    const target = (await context.export("m.js", "later")) as { invokeAction(): Promise<unknown> };
    const ended = context.run(() => target.invokeAction());
    context.close();
    const other = new ActionContext(own, code(), {}, next);
    const { ran } = await other.load("m.js");
    await ended;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect([...mine.done, ...next.done]).toEqual([]);
    expect(ran).toEqual([]);
  });

  it("are protected against changes", async () => {
    const own = new ActionRealms(new CodeCache()).take(code(), "m.js", true);
    await expect(run(own, "m.js", "change")).rejects.toThrow(/Cannot add property extra/);
  });
});
