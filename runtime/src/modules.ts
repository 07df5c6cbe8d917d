/** Loads the modules of one code package into a realm. */

import { readFileSync } from "node:fs";
import { posix } from "node:path";
import vm from "node:vm";

import { CallFailure } from "./outcome.ts";
import type { Realm } from "./realm.ts";

/** The type declarations of Node leave this method out. */
type CacheableModule = vm.SourceTextModule & { createCachedData(): Buffer };

/** Modules of the runtime itself that user code may import, by specifier. */
const BUILT_IN: ReadonlyMap<string, URL> = new Map([
  ["convex:/_system/repl/wrappers.js", new URL("./repl-wrappers.js", import.meta.url)],
]);

/** Gives a module's source text, or nothing when the package has no such module. */
export type SourceReader = (path: string) => string | undefined;

/** Compiled code by package and path, so that V8 parses a module once for each thread. */
export class CodeCache {
  readonly #entries = new Map<string, Buffer>();
  #version: string | undefined;

  get(version: string, path: string): Buffer | undefined {
    return this.#version === version ? this.#entries.get(path) : undefined;
  }

  /** Keeps the code of one package only: another version means that the app was deployed anew. */
  set(version: string, path: string, code: Buffer): void {
    if (this.#version !== version) {
      this.#entries.clear();
      this.#version = version;
    }
    this.#entries.set(path, code);
  }
}

export interface GraphOptions {
  realm: Realm;
  read: SourceReader;
  version: string;
  cache?: CodeCache | undefined;
  /** Whether `import()` works at run time. */
  dynamicImport: boolean;
  /** Called when code imports something at run time. */
  onDynamicImport?: () => void;
}

/** The module graph of one call: each module is evaluated at most once. */
export class ModuleGraph {
  readonly #options: GraphOptions;
  readonly #modules = new Map<string, vm.SourceTextModule>();

  constructor(options: GraphOptions) {
    this.#options = options;
  }

  /** Links and evaluates a module and gives its exports. Fails with what the module threw. */
  async load(path: string): Promise<Record<string, unknown>> {
    const module = this.#module(path);
    if (module.status === "unlinked") {
      await module.link((specifier, referrer) => this.#module(resolve(specifier, referrer.identifier)));
      this.#remember();
    }
    if (module.status === "errored") {
      throw module.error;
    }
    await module.evaluate();
    return module.namespace as Record<string, unknown>;
  }

  #module(path: string): vm.SourceTextModule {
    const known = this.#modules.get(path);
    if (known !== undefined) {
      return known;
    }
    const { realm, read, version, cache } = this.#options;
    const builtIn = BUILT_IN.get(path);
    const source = builtIn === undefined ? read(path) : readFileSync(builtIn, "utf8");
    if (source === undefined) {
      throw new CallFailure(
        `Couldn't find JavaScript module '${path}'. Did you forget to run \`npx convex dev\`?`,
      );
    }
    const cachedData = cache?.get(version, path);
    const options: vm.SourceTextModuleOptions = {
      context: realm.context,
      identifier: path,
      importModuleDynamically: async (specifier) => await this.#importDynamically(specifier, path),
    };
    if (cachedData !== undefined) {
      options.cachedData = cachedData;
    }
    const module = new vm.SourceTextModule(source, options);
    this.#modules.set(path, module);
    return module;
  }

  /** Code can be cached only before evaluation; done once for each module of a package. */
  #remember(): void {
    const { cache, version } = this.#options;
    if (cache === undefined) {
      return;
    }
    for (const [path, module] of this.#modules) {
      if (module.status === "linked" && cache.get(version, path) === undefined) {
        cache.set(version, path, (module as CacheableModule).createCachedData());
      }
    }
  }

  async #importDynamically(specifier: string, referrer: string): Promise<vm.Module> {
    if (!this.#options.dynamicImport) {
      throw this.#options.realm.error("TypeError", "dynamic module import unsupported");
    }
    this.#options.onDynamicImport?.();
    const path = resolve(specifier, referrer);
    await this.load(path);
    return this.#module(path);
  }
}

/** Resolves a specifier against the importing module's path; beside the built-in ones, only modules of the same package exist. */
export function resolve(specifier: string, referrer: string): string {
  if (BUILT_IN.has(specifier)) {
    return specifier;
  }
  if (specifier.startsWith("./") || specifier.startsWith("../")) {
    return posix.normalize(posix.join(posix.dirname(referrer), specifier));
  }
  if (specifier.startsWith("/")) {
    return posix.normalize(specifier.slice(1));
  }
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):/.exec(specifier)?.[1];
  if (scheme !== undefined) {
    throw new CallFailure(`Unsupported scheme (${scheme}) in ${specifier}`);
  }
  throw new CallFailure(`Relative import path "${specifier}" not prefixed with / or ./ or ../`);
}
