import { describe, expect, it } from "vitest";

import type { Outcome } from "../src/outcome.ts";
import { FakeEngine, type HostCallReply, parts, queries, reply, run as runIn } from "./engine.ts";

async function run(
  modules: Record<string, string>,
  exportName: string,
  calls: string[] = [],
  syscall: (text: string) => HostCallReply = reply,
): Promise<Outcome | undefined> {
  const engine = new FakeEngine(modules, (op, args) => syscall(`${op}${args}`), calls);
  return await runIn(parts(engine), "m.js", exportName);
}

function value(outcome: Outcome | undefined): unknown {
  if (outcome?.ok !== true) {
    throw new Error(`no result: ${JSON.stringify(outcome)}`);
  }
  return JSON.parse(outcome.value) as unknown;
}

function message(outcome: Outcome | undefined): string {
  if (outcome?.ok !== false) {
    throw new Error(`no error: ${JSON.stringify(outcome)}`);
  }
  return outcome.error.message;
}

describe("a function in a lane", () => {
  it("returns what its wrapper returns", async () => {
    expect(value(await run({ "m.js": queries({ f: "return { a: 1 };" }) }, "f"))).toEqual({ a: 1 });
  });

  it("sees a frozen clock and seeded randomness", async () => {
    const source = queries({ f: "return [Date.now(), new Date().getTime(), new Date(5).getTime(), Math.random(), crypto.randomUUID()];" });
    const first = value(await run({ "m.js": source }, "f"));
    const second = value(await run({ "m.js": source }, "f"));
    expect(first).toEqual(second);
    expect((first as unknown[]).slice(0, 3)).toEqual([1_700_000_000_000, 1_700_000_000_000, 5]);
  });

  it("imports relative modules, cycles included", async () => {
    const modules = {
      "m.js": `import { other } from "./_deps/a.js"; export const name = "m"; ${queries({ f: "return other();" })}`,
      "_deps/a.js": `import { name } from "../m.js"; export const other = () => "a of " + name;`,
    };
    expect(value(await run(modules, "f"))).toBe("a of m");
  });

  it("refuses what belongs into actions", async () => {
    for (const [code, feature] of [["fetch('http://x')", "fetch()"], ["setTimeout(() => {}, 1)", "setTimeout"]]) {
      const outcome = await run({ "m.js": queries({ f: `${code ?? ""};` }) }, "f");
      expect(message(outcome)).toContain(`Can't use ${feature ?? ""} in queries and mutations.`);
    }
    expect(message(await run({ "m.js": queries({ f: "await import('./x.js');" }) }, "f"))).toBe(
      "Uncaught TypeError: dynamic module import unsupported",
    );
  });

  it("compiles WebAssembly at once", async () => {
    const bytes = "new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 2, 7, 1, 1, 109, 1, 102, 0, 0])";
    const source = queries({
      f: `const bytes = ${bytes}; const imports = { m: { f() {} } };
        const { module, instance } = await WebAssembly.instantiate(bytes, imports);
        const again = await WebAssembly.instantiate(await WebAssembly.compile(bytes), imports);
        const failures = [];
        for (const attempt of [() => WebAssembly.compile(new Uint8Array(3)), () => WebAssembly.instantiate(bytes, {})]) {
          await attempt().catch((error) => failures.push(error instanceof Error && error.name));
        }
        return [module instanceof WebAssembly.Module, instance instanceof WebAssembly.Instance,
          again instanceof WebAssembly.Instance, ...failures];`,
      streamed: "await WebAssembly.instantiateStreaming(new Response(new Uint8Array(8)));",
    });
    expect(value(await run({ "m.js": source }, "f"))).toEqual([true, true, true, "CompileError", "TypeError"]);
    expect(message(await run({ "m.js": source }, "streamed"))).toMatch(/WebAssembly.instantiateStreaming/);
  });

  it("turns failed host calls into its own errors", async () => {
    const source = queries({
      f: "try { await Convex.asyncSyscall('1.0/get', '{}'); } catch (e) { return [e instanceof Error, e.message, e.data]; }",
    });
    const failing = (): HostCallReply => ({ ok: false, message: "nope", data: '{"a":1}', catchable: true });
    expect(value(await run({ "m.js": source }, "f", [], failing))).toEqual([true, "nope", { a: 1 }]);
  });

  it("ends at once on a failure that it must not see", async () => {
    const source = queries({ f: "try { await Convex.asyncSyscall('1.0/get', '{}'); } catch { return 'seen'; } return 'on';" });
    const failing = (): HostCallReply => ({ ok: false, message: "conflict", catchable: false });
    expect(message(await run({ "m.js": source }, "f", [], failing))).toBe("conflict");
  });

  it("waits for a nested call before its own later host calls", async () => {
    const calls: string[] = [];
    const source = queries({
      f: "return await Promise.all([Convex.asyncSyscall('1.0/runUdf', JSON.stringify({name: 'g'})), Convex.asyncSyscall('1.0/get', '1')]);",
      g: "await Convex.asyncSyscall('1.0/get', '2'); await null; await Convex.asyncSyscall('1.0/get', '3'); return 'nested';",
    });
    expect(value(await run({ "m.js": source }, "f", calls))).toEqual(['"nested"', "1.0/get1"]);
    expect(calls).toEqual(["begin", "1.0/get", "1.0/get", "end", "1.0/get"]);
  });

  it("reads only the environment that is set", async () => {
    expect(value(await run({ "m.js": queries({ f: "return [process.env.SET, typeof process.env.UNSET];" }) }, "f"))).toEqual([
      "value",
      "undefined",
    ]);
  });

  it("cannot turn strings into code", async () => {
    for (const code of ["eval('1')", "new Function('return 1')", "(async () => {}).constructor('return 1')"]) {
      expect(message(await run({ "m.js": queries({ f: `return ${code};` }) }, "f"))).toContain(
        "Code generation from strings disallowed for this context",
      );
    }
  });

  it("describes what it throws", async () => {
    const cases: [string, string][] = [
      ["throw new TypeError('bad')", "Uncaught TypeError: bad"],
      ["throw 'text'", "Uncaught text"],
      ["throw null", "Uncaught null"],
      ["throw { a: 1 }", "Uncaught #<Object>"],
      ["throw { get message() { throw 1 }, stack: '' }", "Uncaught"],
      ["const e = new Error(''); throw e", "Uncaught Error"],
    ];
    for (const [code, expected] of cases) {
      expect(message(await run({ "m.js": queries({ f: code }) }, "f"))).toBe(expected);
    }
  });

  it("reports stack frames of its modules only", async () => {
    const outcome = await run({ "m.js": queries({ f: "function boom() { throw new Error('x'); } boom();" }) }, "f");
    expect(outcome?.ok === false && outcome.error.frames[0]).toMatch(/^ {4}at boom \(m\.js:1:\d+\)$/);
    expect(outcome?.ok === false && outcome.error.frames.every((frame) => frame.includes("m.js"))).toBe(true);
  });

  it("reports frames of modules whatever their folders are called", async () => {
    const modules = {
      "m.js": `import { boom } from "./lib/runtime/boom.js"; ${queries({ f: "boom();" })}`,
      "lib/runtime/boom.js": "export function boom() { throw new Error('x'); }",
    };
    const outcome = await run(modules, "f");
    expect(outcome?.ok === false && outcome.error.frames[0]).toBe("    at boom (lib/runtime/boom.js:1:32)");
  });

  it("fails with the text of the contract when something is missing", async () => {
    expect(message(await run({}, "f"))).toBe("Couldn't find JavaScript module 'm.js'. Did you forget to run `npx convex dev`?");
    expect(message(await run({ "m.js": "export const a = 1;" }, "f"))).toBe('Couldn\'t find "f" in module "m.js".');
  });

  it("prints through the engine", async () => {
    const calls: string[] = [];
    await run({ "m.js": queries({ f: "console.log('hi', { a: 1 }); console.error(2);" }) }, "f", calls);
    expect(calls).toEqual(["LOG 'hi' {\n  a: 1\n}", "ERROR 2"]);
  });

  it("may hash, which needs the event loop", async () => {
    const source = queries({
      f: "const bytes = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode('a'))); return [bytes[0], bytes instanceof Uint8Array];",
    });
    expect(value(await run({ "m.js": source }, "f"))).toEqual([0xca, true]);
  });
});

describe("work that a function does not wait for", () => {
  const forgotten = "void (async () => { for (let i = 0; i < 20; i++) { await Convex.asyncSyscall('1.0/insert', String(i)); await null; } })();";

  it("is done before the function ends", async () => {
    const calls: string[] = [];
    expect((await run({ "m.js": queries({ f: forgotten }) }, "f", calls))?.ok).toBe(true);
    expect(calls.length).toBe(20);
  });

  it("is done before a nested function ends", async () => {
    const calls: string[] = [];
    const source = queries({ f: "await Convex.asyncSyscall('1.0/runUdf', JSON.stringify({name: 'g'}));", g: forgotten });
    expect((await run({ "m.js": source }, "f", calls))?.ok).toBe(true);
    expect([calls.length, calls.at(-1)]).toEqual([22, "end"]);
  });

  it("includes a nested call", async () => {
    const calls: string[] = [];
    const source = queries({ f: "void Convex.asyncSyscall('1.0/runUdf', JSON.stringify({name: 'g'})); return 1;", g: forgotten });
    expect(value(await run({ "m.js": source }, "f", calls))).toBe(1);
    expect(calls.at(-1)).toBe("end");
  });

  it("is dropped when the function throws", async () => {
    const calls: string[] = [];
    expect(message(await run({ "m.js": queries({ f: `${forgotten} throw new Error('over');` }) }, "f", calls))).toBe("Uncaught Error: over");
    expect(calls.length).toBeLessThan(5);
  });
});

describe("a promise that never settles", () => {
  it("fails the function", async () => {
    expect(message(await run({ "m.js": queries({ f: "await new Promise(() => {});" }) }, "f"))).toBe("Returned promise will never resolve");
  });

  it("fails a nested function, whose caller may go on", async () => {
    const source = queries({
      f: "try { await Convex.asyncSyscall('1.0/runUdf', JSON.stringify({name: 'g'})); } catch (e) { return e.message; }",
      g: "await new Promise(() => {});",
    });
    expect(value(await run({ "m.js": source }, "f"))).toBe("Returned promise will never resolve");
  });
});

describe("randomness of cryptography", () => {
  it("is refused, while everything repeatable works", async () => {
    for (const code of [
      "await crypto.subtle.generateKey({ name: 'AES-GCM', length: 128 }, true, ['encrypt']);",
      "await crypto.subtle.sign({ name: 'ecdsa', hash: 'SHA-256' }, {}, new Uint8Array(1));",
      "await crypto.subtle.encrypt('RSA-OAEP', {}, new Uint8Array(1));",
    ]) {
      expect(message(await run({ "m.js": queries({ f: code }) }, "f"))).toContain("Can't use cryptographic randomness in queries and mutations.");
    }
    const hmac =
      "const key = await crypto.subtle.importKey('raw', new Uint8Array(16), { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);" +
      "return (await crypto.subtle.sign('HMAC', key, new Uint8Array(1))).byteLength;";
    expect(value(await run({ "m.js": queries({ f: hmac }) }, "f"))).toBe(32);
  });
});

it("does not let code block its thread", async () => {
  const code = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";
  expect(message(await run({ "m.js": queries({ f: code }) }, "f"))).toContain("Atomics.wait cannot be called");
});

it("ends with an unknown host operation, caught or not", async () => {
  const code = "try { Convex.jsSyscall('nope', {}); } catch {} return 1;";
  expect(message(await run({ "m.js": queries({ f: code }) }, "f"))).toBe("Unknown JS syscall: nope");
});

describe("leftovers of a call", () => {
  it("cannot reach the engine after the call", async () => {
    const calls: string[] = [];
    // The function touches nothing that tells the lane to wait, so the event loop finds it when it is over.
    const source = queries({
      f: "AbortSignal.timeout(50).addEventListener('abort', () => { console.log('late'); Convex.asyncSyscall('1.0/get', '1'); });",
    });
    const ended = await run({ "m.js": source }, "f", calls);
    await new Promise((wake) => setTimeout(wake, 100));
    expect(ended?.ok).toBe(true);
    expect(calls).toEqual([]);
  });
});
