/**
 * Runs `"use node"` actions: modules are imported by Node itself, in this process's own realm, and stay loaded.
 *
 * One process serves many invocations at once; the request id in each host call tells which one it belongs to, and an
 * `AsyncLocalStorage` which one prints.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import type { ActionServices } from "./action.ts";
import { consoleMethods } from "./console.ts";
import { operationKind, Operations } from "./operations.ts";
import { CallFailure, rememberFrames } from "./outcome.ts";
import type { PackageModule } from "./protocol.ts";
import type { HostCallError } from "./realm.ts";
import { StackTranslator } from "./stack-trace.ts";

/** Operations that one action may have under way. */
const OPERATIONS_MAX = 1000;

/** One running action. */
interface Invocation {
  readonly services: ActionServices;
  readonly operations: Operations;
}

export class NodeRuntime {
  readonly #invocations = new Map<string, Invocation>();
  readonly #printing = new AsyncLocalStorage<Invocation>();
  readonly #folder: string;
  readonly #folders = new Map<string, string>();
  #stacks: StackTranslator | undefined;

  /** `folder` is this process's own; whoever started the process removes it. */
  constructor(folder: string) {
    this.#folder = folder;
    const timers = new Map<string, number>();
    const methods = consoleMethods(
      (level, messages, truncated) => this.#printing.getStore()?.services.log(level, messages, truncated),
      () => Date.now(),
      () => timers,
      (lines) => this.#translate(lines),
    );
    Object.assign(console, methods);
    Error.prepareStackTrace = (error, sites: readonly { toString(): string }[]) => {
      const frames = sites.map((site) => `    at ${site.toString()}`);
      rememberFrames(error, frames);
      const lines = this.#translate(frames);
      // Errors of code that has no source map, Node's own among it, keep what they have.
      return `${String(error)}${(lines.length === 0 ? frames : lines).map((line) => `\n${line}`).join("")}`;
    };
    Object.defineProperty(globalThis, "Convex", { value: this.#convex(), configurable: true });
  }

  #translate(lines: string[]): string[] {
    return this.#stacks?.translate(lines) ?? [];
  }

  /** Writes a package's Node modules where `import` finds them. */
  addPackage(version: string, modules: PackageModule[], nodeModules: string | undefined): void {
    const folder = join(this.#folder, version);
    this.#folders.set(version, folder);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}\n');
    // What bundlers make of `require` in packages of the older kind looks for a global of that name.
    Object.defineProperty(globalThis, "require", {
      value: createRequire(join(folder, "package.json")),
      writable: true,
      configurable: true,
    });
    if (nodeModules !== undefined) {
      symlinkSync(nodeModules, join(folder, "node_modules"));
    }
    const maps = new Map(modules.map((module) => [module.path, module.sourceMap]));
    this.#stacks = new StackTranslator((path) => maps.get(path) ?? undefined);
    for (const module of modules) {
      if (module.environment === "node") {
        const path = join(folder, module.path);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, module.source);
      }
    }
  }

  async import(version: string, path: string): Promise<Record<string, unknown>> {
    const folder = this.#folders.get(version);
    if (folder === undefined) {
      throw new CallFailure(`Couldn't find JavaScript module '${path}'. Did you forget to run \`npx convex dev\`?`);
    }
    return (await import(pathToFileURL(join(folder, path)).href)) as Record<string, unknown>;
  }

  async run(
    id: string,
    version: string,
    modulePath: string,
    exportName: string,
    argsJson: string,
    services: ActionServices,
  ): Promise<string> {
    const invocation = { services, operations: new Operations() };
    this.#invocations.set(id, invocation);
    try {
      const returned = await this.#printing.run(invocation, async () => {
        const namespace = await this.import(version, modulePath);
        const target = namespace[exportName] as Record<string, unknown> | undefined;
        if (target === undefined) {
          throw new CallFailure(`Couldn't find action \`${exportName}\` in \`${modulePath}\``);
        }
        const invoke = target.invokeAction;
        if (!("isAction" in target) || typeof invoke !== "function") {
          throw new CallFailure(`\`${exportName}\` wasn't registered as a Convex action in \`${modulePath}\``);
        }
        const result: unknown = await (invoke as (id: string, args: string) => unknown).call(target, id, argsJson);
        if (typeof result !== "string") {
          throw new CallFailure(`\`${exportName}\` in \`${modulePath}\` did not return JSON text`);
        }
        return result;
      });
      const warning = invocation.operations.warning();
      if (warning !== undefined) {
        services.log("WARN", [warning], false);
      }
      return returned;
    } finally {
      this.#invocations.delete(id);
    }
  }

  #convex(): object {
    return {
      syscall: (op: string) => {
        throw new Error(`Unknown operation ${op}`);
      },
      asyncSyscall: async (op: string, args: string): Promise<string> => {
        const { services, operations } = this.#invocationOf(args);
        const done = begin(operations, op);
        return await new Promise<string>((resolve, reject) => {
          services.syscall(op, args, (value) => {
            done();
            resolve(value);
          }, (error) => {
            done();
            reject(toError(error));
          });
        });
      },
      jsSyscall: (op: string, args: { requestId?: string }): unknown => {
        const invocation = this.#invocations.get(args.requestId ?? "") ?? this.#printing.getStore();
        if (invocation === undefined) {
          throw leftover();
        }
        const done = begin(invocation.operations, op);
        const result = invocation.services.jsSyscall(op, args) as Promise<unknown>;
        return result.finally(done);
      },
    };
  }

  #invocationOf(args: string): Invocation {
    let requestId: string | undefined;
    try {
      ({ requestId } = JSON.parse(args) as { requestId?: string });
    } catch (error) {
      throw new Error(`Received invalid json: ${(error as Error).message}`, { cause: error });
    }
    const invocation = requestId === undefined ? this.#printing.getStore() : this.#invocations.get(requestId);
    if (invocation === undefined) {
      throw leftover();
    }
    return invocation;
  }
}

function begin(operations: Operations, op: string): () => void {
  if (operations.size >= OPERATIONS_MAX) {
    throw new Error(
      `Too many concurrent operations. An action may wait for ${OPERATIONS_MAX} at a time. ` +
        "See https://docs.convex.dev/functions/actions#limits for more information.",
    );
  }
  return operations.begin(operationKind(op));
}

function leftover(): Error {
  return new Error(
    "This host call belongs to an action that has already ended. " +
      "A promise or a module-level variable has outlived the action that made it.",
  );
}

function toError(error: HostCallError): Error {
  const made: Error & { data?: unknown } = new Error(error.message);
  if (error.data !== undefined) {
    made.data = JSON.parse(error.data);
  }
  return made;
}
