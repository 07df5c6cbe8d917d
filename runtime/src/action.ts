/**
 * One running action or HTTP action in the default runtime: its realm, its host calls, its timers.
 *
 * Operations that are still running when the handler's promise is fulfilled are dropped, with a warning.
 */

import { randomFillSync, randomUUID } from "node:crypto";

import type { LogLevel } from "./console.ts";
import type { ActionRealm } from "./action-realms.ts";
import { operationKind, Operations } from "./operations.ts";
import { CallFailure } from "./outcome.ts";
import { SeededRandom } from "./random.ts";
import type { StackTranslator } from "./stack-trace.ts";
import type { EffectGlobals, HostCallError, RealmHost } from "./realm.ts";

/** What servers see of `fetch`, unless the action says something else. */
const USER_AGENT = "Convex/1.0";

/** What an action needs of the process that it runs in. */
export interface ActionServices {
  syscall(
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void;
  log(level: LogLevel, messages: string[], truncated: boolean): void;
  jsSyscall(op: string, args: unknown): unknown;
}

export interface ActionCode {
  version: string;
  read(path: string): string | undefined;
  /** Translates lines of stacks. */
  stacks: StackTranslator;
  importSeed: string;
  importTimeMs: number;
}

export class ActionContext {
  readonly #own: ActionRealm;
  readonly #host: RealmHost;
  readonly #services: ActionServices;
  readonly #consoleTimers = new Map<string, number>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  readonly #aborts = new Set<AbortController>();
  readonly #operations = new Operations();
  readonly #random: SeededRandom;
  #importing = true;
  #open = true;
  #hasEffects = false;
  readonly #startedAt = performance.now();

  constructor(own: ActionRealm, code: ActionCode, env: Record<string, string>, services: ActionServices) {
    this.#own = own;
    this.#services = services;
    this.#random = new SeededRandom(Buffer.from(code.importSeed, "hex"));
    this.#host = this.#makeHost(code, env);
    own.realm.attach(this.#host);
  }

  /** Whether its modules are still being evaluated, or could not be. */
  get isImporting(): boolean {
    return this.#importing;
  }

  /** Whether anything outside of the realm may have noticed that the action ran. */
  get hasEffects(): boolean {
    return this.#hasEffects;
  }

  /** Runs code of the realm on behalf of this action, whatever resumes it later. */
  run<T>(code: () => T): T {
    return this.#own.realm.run(this.#host, code);
  }

  /** Evaluates a module, unless an action before has, and ends the import phase. */
  async load(path: string): Promise<Record<string, unknown>> {
    const namespace = await this.run(() => this.#own.graph.load(path));
    this.#importing = false;
    return namespace;
  }

  async export(path: string, name: string): Promise<unknown> {
    const namespace = await this.load(path);
    const target = namespace[name];
    if (target === undefined) {
      throw new CallFailure(`Couldn't find ${JSON.stringify(name)} in module "${path}".`);
    }
    return target;
  }

  /** Whether nothing that it has started is under way. */
  isQuiet(): boolean {
    return this.#operations.size === 0 && this.#timers.size === 0 && this.#aborts.size === 0;
  }

  /** Ends the action, after a warning of operations that are still running. */
  finish(): void {
    const warning = this.#operations.warning();
    this.close();
    if (warning !== undefined) {
      this.#services.log("WARN", [warning], false);
    }
  }

  /** Ends the action. */
  close(): void {
    this.#open = false;
    for (const timer of this.#timers.values()) {
      clearTimeout(timer);
    }
    this.#timers.clear();
    for (const abort of this.#aborts) {
      abort.abort();
    }
  }

  #makeHost(code: ActionCode, env: Record<string, string>): RealmHost {
    const isImporting = (): boolean => this.#importing;
    return {
      get importing() {
        return isImporting();
      },
      now: () => (this.#importing ? code.importTimeMs : Date.now()),
      elapsed: () => performance.now() - this.#startedAt,
      timeOrigin: () => performance.timeOrigin,
      mapStack: (lines) => code.stacks.translate(lines),
      randomDouble: () => (this.#importing ? this.#importRandom().nextDouble() : Math.random()),
      randomFill: (bytes) => {
        if (this.#importing) {
          this.#importRandom().fill(bytes);
        } else {
          randomFillSync(bytes);
        }
      },
      randomUuid: () => (this.#importing ? this.#importRandom().uuid() : randomUUID()),
      env: (name) => {
        this.#noteIfImporting();
        return Object.hasOwn(env, name) ? env[name] : undefined;
      },
      log: (level, messages, truncated) => {
        this.#noteIfImporting();
        if (this.#open) {
          this.#hasEffects = true;
          this.#services.log(level, messages, truncated);
        }
      },
      syscall: (op) => ({ ok: false, error: { message: `Unknown operation ${op}` } }),
      asyncSyscall: (op, args, resolve, reject) => {
        this.#asyncSyscall(op, args, resolve, reject);
      },
      jsSyscall: (op, args) => this.#jsSyscall(op, args),
      effects: this.#effects(),
      timers: () => this.#consoleTimers,
      mayWait: () => { this.#noteIfImporting(); },
      hold: () => {
        this.#noteIfImporting();
        return () => undefined;
      },
    };
  }

  #isOver(): boolean {
    return !this.#open;
  }

  #noteIfImporting(): void {
    if (this.#importing) {
      this.#own.noteImpure();
    }
  }

  #importRandom(): SeededRandom {
    this.#own.noteImpure();
    return this.#random;
  }

  #asyncSyscall(
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void {
    if (!this.#open) {
      // What is left of an action that is over does not go on.
      return;
    }
    if (this.#importing) {
      reject({ message: `${operationKind(op)} unsupported at import time` });
      return;
    }
    this.#hasEffects = true;
    const done = this.#operations.begin(operationKind(op));
    this.#services.syscall(
      op,
      args,
      (value) => {
        done();
        resolve(value);
      },
      (error) => {
        done();
        reject(error);
      },
    );
  }

  #jsSyscall(op: string, args: unknown): unknown {
    this.#hasEffects = true;
    return op.startsWith("storage/")
      ? this.#fileOperation(operationKind(op), op, args)
      : this.#services.jsSyscall(op, args);
  }

  async #fileOperation(kind: string, op: string, args: unknown): Promise<unknown> {
    if (this.#importing) {
      throw new Error(`${kind} unsupported at import time`);
    }
    if (!this.#open) {
      return await never();
    }
    const done = this.#operations.begin(kind);
    try {
      return await this.#services.jsSyscall(op, args);
    } finally {
      done();
    }
  }

  #effects(): EffectGlobals {
    let nextTimer = 1;
    const start = (handler: () => void, delay: number | undefined, repeat: boolean): number => {
      if (!this.#open) {
        // What is left of an action that is over does not go on.
        return 0;
      }
      this.#hasEffects = true;
      const id = nextTimer;
      nextTimer += 1;
      const timer = repeat
        ? setInterval(handler, delay)
        : setTimeout(() => {
            this.#timers.delete(id);
            handler();
          }, delay);
      this.#timers.set(id, timer);
      return id;
    };
    const stop = (id: number | undefined): void => {
      if (id !== undefined) {
        clearTimeout(this.#timers.get(id));
        this.#timers.delete(id);
      }
    };
    return {
      setTimeout: (handler, delay) => start(handler, delay, false),
      setInterval: (handler, delay) => start(handler, delay, true),
      clearTimeout: stop,
      clearInterval: stop,
      fetch: (async (input: Parameters<typeof fetch>[0], init?: RequestInit) => {
        if (this.#isOver()) {
          return await never();
        }
        this.#hasEffects = true;
        const request = new Request(input, init?.body instanceof ReadableStream ? { duplex: "half", ...init } : init);
        const { protocol } = new URL(request.url);
        if (protocol !== "http:" && protocol !== "https:") {
          throw new TypeError(`Unsupported URL scheme "${protocol}" in fetch(): only http and https are`);
        }
        if (!request.headers.has("user-agent")) {
          request.headers.set("user-agent", USER_AGENT);
        }
        // One that was aborted before tells nobody any more.
        request.signal.throwIfAborted();
        const done = this.#operations.begin("fetch");
        // Not `AbortSignal.any`, which the first releases of Node 20 do not have.
        const abort = new AbortController();
        request.signal.addEventListener("abort", () => { abort.abort(request.signal.reason); });
        this.#aborts.add(abort);
        const end = (): void => {
          this.#aborts.delete(abort);
          done();
        };
        try {
          const response = await fetch(request, { signal: abort.signal });
          end();
          return response;
        } catch (error) {
          end();
          if (!this.#isOver()) {
            throw error;
          }
          return await never();
        }
      }),
    };
  }
}

/** What waits for this does not go on. */
async function never(): Promise<never> {
  return await new Promise<never>(() => undefined);
}
