/**
 * Runs `"use node"` actions: modules are imported by Node itself, in this process's own realm, and stay loaded.
 *
 * One process serves many invocations at once; the request id in each host call tells which one it belongs to, and an
 * `AsyncLocalStorage` which one prints.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

import type { ActionServices } from "./action.ts";
import { consoleMethods } from "./console.ts";
import { CallFailure } from "./outcome.ts";
import type { PackageModule } from "./protocol.ts";
import type { HostCallError } from "./realm.ts";

export class NodeRuntime {
  readonly #invocations = new Map<string, ActionServices>();
  readonly #printing = new AsyncLocalStorage<ActionServices>();
  readonly #folder: string;
  readonly #folders = new Map<string, string>();

  /** `folder` is this process's own; whoever started the process removes it. */
  constructor(folder: string) {
    this.#folder = folder;
    const timers = new Map<string, number>();
    const methods = consoleMethods(
      (level, messages, truncated) => this.#printing.getStore()?.log(level, messages, truncated),
      () => Date.now(),
      () => timers,
    );
    Object.assign(console, methods);
    Object.defineProperty(globalThis, "Convex", { value: this.#convex(), configurable: true });
  }

  /** Writes a package's Node modules where `import` finds them. */
  addPackage(version: string, modules: PackageModule[]): void {
    const folder = join(this.#folder, version);
    this.#folders.set(version, folder);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "package.json"), '{"type":"module"}\n');
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
    this.#invocations.set(id, services);
    try {
      return await this.#printing.run(services, async () => {
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
        const services = this.#serviceFor(args);
        return await new Promise<string>((resolve, reject) => {
          services.syscall(op, args, resolve, (error) => {
            reject(toError(error));
          });
        });
      },
      jsSyscall: (op: string, args: { requestId?: string }): unknown => {
        const services = this.#invocations.get(args.requestId ?? "") ?? this.#printing.getStore();
        if (services === undefined) {
          throw leftover();
        }
        return services.jsSyscall(op, args);
      },
    };
  }

  #serviceFor(args: string): ActionServices {
    const { requestId } = JSON.parse(args) as { requestId?: string };
    const services = requestId === undefined ? this.#printing.getStore() : this.#invocations.get(requestId);
    if (services === undefined) {
      throw leftover();
    }
    return services;
  }
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
