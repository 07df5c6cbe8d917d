/**
 * Runs one attempt of a query or mutation, with everything it calls, in a lane.
 *
 * Host calls are carried out at once, on this thread; their promises are settled in the order in which they were
 * issued. While a nested function runs, the host calls of its caller wait, because they would otherwise happen inside
 * the callee's sub-transaction.
 */

import type { Addon, HostCallReply, Invocation } from "./addon.ts";
import { CodeCache, ModuleGraph } from "./modules.ts";
import { CallFailure, describeThrown, payload, type Outcome } from "./outcome.ts";
import { SeededRandom } from "./random.ts";
import { Realm, type HostCallError, type RealmHost } from "./realm.ts";

const NESTED_CALL = "1.0/runUdf";
const NEVER: Outcome = { ok: false, error: { message: "Returned promise will never resolve", frames: [] } };

/** Makes realms ahead of time, so that a call need not wait for one. */
export class RealmStock {
  #spare: Realm | undefined;

  take(): Realm {
    const realm = this.#spare ?? new Realm("transaction");
    this.#spare = undefined;
    return realm;
  }

  /** Returns whether there was anything to do. */
  restock(): boolean {
    if (this.#spare !== undefined) {
      return false;
    }
    this.#spare = new Realm("transaction");
    return true;
  }
}

/**
 * One top-level attempt. Whoever drives it drains the microtasks, then calls `advance()`, until that has nothing more to
 * do.
 */
export class TransactionRun {
  /** Set once the outcome is known. */
  outcome: Outcome | undefined;
  /** Whether a Web API was touched whose promises may need the event loop. */
  mayNeedEventLoop = false;
  /** Operations under way that need the event loop. */
  held = 0;

  readonly #lane: number;
  readonly #addon: Addon;
  readonly #realms: RealmStock;
  readonly #cache: CodeCache;
  readonly #frames: Frame[] = [];
  /** The realms of all functions of this attempt, the finished ones included. */
  readonly #ownRealms: Realm[] = [];
  /** Rejections that nobody has handled yet. */
  readonly #unhandled = new Map<Promise<unknown>, unknown>();

  constructor(lane: number, addon: Addon, realms: RealmStock, cache: CodeCache) {
    this.#lane = lane;
    this.#addon = addon;
    this.#realms = realms;
    this.#cache = cache;
  }

  /** Starts the attempt. */
  start(invocation: Invocation): void {
    this.#run(invocation, (outcome) => {
      this.outcome ??= outcome;
    });
  }

  /**
   * To be called when no microtask is left: ends the innermost function if its promise is settled. Not before, because
   * what it started without waiting for it still counts: the host calls of its continuations are served until there
   * are none. Returns whether that may have made new microtasks.
   */
  advance(): boolean {
    const frame = this.#frames.at(-1);
    if (this.outcome !== undefined || frame?.outcome === undefined || (frame.outcome.ok && this.held > 0)) {
      return false;
    }
    this.#end(frame, frame.outcome);
    return true;
  }

  /** Ends the innermost function, whose promise nothing that is under way can settle. */
  giveUp(): void {
    const frame = this.#frames.at(-1);
    if (this.outcome === undefined && frame !== undefined) {
      this.#end(frame, NEVER);
    }
  }

  /** Notes a rejection that nobody handles, unless it is left from an earlier call. */
  reject(promise: Promise<unknown>, reason: unknown): void {
    const isOurs =
      this.#ownRealms.some((realm) => realm.owns(promise)) ||
      // The Web API's promises are Node's own.
      ((this.held > 0 || this.mayNeedEventLoop) && promise instanceof Promise);
    if (isOurs) {
      this.#unhandled.set(promise, reason);
    }
  }

  /** A rejection was handled after all. */
  forgive(promise: Promise<unknown>): void {
    this.#unhandled.delete(promise);
  }

  /** What the attempt came to: a rejection that nobody handled fails it even when its function succeeded. */
  verdict(): Outcome {
    const [unhandled] = this.#unhandled;
    if (unhandled !== undefined && this.outcome?.ok !== false) {
      return { ok: false, error: describeThrown(unhandled[1]) };
    }
    return this.outcome ?? NEVER;
  }

  /** Ends the attempt: nothing that user code left running may reach the engine from now on. */
  close(): void {
    for (const frame of this.#frames) {
      frame.open = false;
    }
    this.#frames.length = 0;
  }

  #run(invocation: Invocation, ended: (outcome: Outcome) => void): void {
    const frame = new Frame(invocation, ended);
    this.#frames.push(frame);
    this.#call(frame, invocation).then(
      (value) => {
        frame.outcome = { ok: true, value };
      },
      (thrown: unknown) => {
        // A function that failed does not go on, whatever it has started.
        frame.open = false;
        frame.outcome = { ok: false, error: describeThrown(thrown) };
        if (frame === this.#frames[0]) {
          this.outcome ??= frame.outcome;
        }
      },
    );
  }

  #end(frame: Frame, outcome: Outcome): void {
    frame.open = false;
    this.#frames.pop();
    frame.ended(outcome);
  }

  async #call(frame: Frame, invocation: Invocation): Promise<string> {
    const { modulePath, exportName, kind, codeVersion } = invocation;
    const realm = this.#realms.take();
    this.#ownRealms.push(realm);
    realm.attach(this.#host(frame));
    const graph = new ModuleGraph({
      realm,
      read: (path) => this.#addon.laneModule(this.#lane, path) ?? undefined,
      version: codeVersion,
      cache: this.#cache,
      dynamicImport: false,
    });
    const namespace = await graph.load(modulePath);
    const target: unknown = namespace[exportName];
    if (target === undefined) {
      throw new CallFailure(`Couldn't find ${JSON.stringify(exportName)} in module "${modulePath}".`);
    }
    const method = kind === "query" ? "invokeQuery" : "invokeMutation";
    const invoke: unknown = isObject(target) ? (target as Record<string, unknown>)[method] : undefined;
    if (typeof invoke !== "function") {
      throw new CallFailure(
        `Function "${modulePath}:${exportName}" is neither a query or mutation. ` +
          "Did you forget to wrap it with `query` or `mutation`?",
      );
    }
    frame.beginExecution(invocation);
    const result: unknown = await (invoke as (args: string) => unknown).call(target, invocation.argsJson);
    if (typeof result !== "string") {
      throw new CallFailure(`Function "${modulePath}:${exportName}" did not return JSON text from ${method}()`);
    }
    return result;
  }

  #host(frame: Frame): RealmHost {
    const addon = this.#addon;
    const lane = this.#lane;
    return {
      get importing() {
        return frame.importing;
      },
      now: () => {
        if (!frame.importing && frame.open) {
          addon.laneObservedTime(lane);
        }
        return frame.nowMs;
      },
      elapsed: () => 0,
      randomDouble: () => frame.random.nextDouble(),
      randomFill: (bytes) => {
        frame.random.fill(bytes);
      },
      randomUuid: () => frame.random.uuid(),
      env: (name) => {
        if (!frame.open) {
          return undefined;
        }
        const reply = addon.laneEnv(lane, name);
        if (reply === null) {
          return undefined;
        }
        if (!reply.ok) {
          throw new Error(reply.text);
        }
        return reply.text;
      },
      log: (level, messages, truncated) => {
        if (frame.open) {
          addon.laneLog(lane, level, messages, truncated);
        }
      },
      syscall: (op, args) => {
        const refused = this.#refusal(frame, op);
        if (refused !== undefined) {
          return { ok: false, error: { message: refused } };
        }
        const reply = addon.laneSyncSyscall(lane, op, args);
        return reply.ok ? { ok: true, value: reply.text } : { ok: false, error: toHostCallError(reply) };
      },
      asyncSyscall: (op, args, resolve, reject) => {
        if (!frame.open) {
          // What is left of a function that is over does not go on.
          return;
        }
        const refused = this.#refusal(frame, op);
        if (refused !== undefined) {
          reject({ message: refused });
          return;
        }
        frame.enqueue(() => { this.#serve(frame, op, args, resolve, reject); });
        this.#serveWaiting(frame);
      },
      jsSyscall: (op) => {
        const failure = new CallFailure(`Unknown JS syscall: ${op}`);
        // It ends the call, whether or not user code catches the exception.
        this.outcome ??= { ok: false, error: describeThrown(failure) };
        throw failure;
      },
      mayWait: () => {
        this.mayNeedEventLoop = true;
      },
      hold: () => {
        this.held += 1;
        return () => {
          this.held -= 1;
        };
      },
    };
  }

  #refusal(frame: Frame, op: string): string | undefined {
    if (!frame.open) {
      return "This function has already returned: its host calls are no longer served.";
    }
    if (!frame.importing) {
      return undefined;
    }
    if (op === NESTED_CALL) {
      return "Cannot call another function at import time";
    }
    return IMPORT_TIME_NAMES[op] ?? "Can't use database at import time";
  }

  #serve(
    frame: Frame,
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void {
    if (op === NESTED_CALL) {
      this.#serveNested(frame, args, resolve, reject);
      return;
    }
    this.#settle(this.#addon.laneSyscall(this.#lane, op, args), resolve, reject);
  }

  #serveNested(
    frame: Frame,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void {
    const begun = this.#addon.laneBeginNested(this.#lane, args);
    if (begun.invocation === undefined) {
      if (begun.error !== undefined) {
        this.#settle(begun.error, resolve, reject);
      }
      return;
    }
    frame.suspended = true;
    this.#run(begun.invocation, (outcome) => {
      const reply = this.#addon.laneEndNested(this.#lane, outcome.ok, payload(outcome));
      frame.suspended = false;
      this.#settle(reply, resolve, reject);
      this.#serveWaiting(frame);
    });
  }

  #serveWaiting(frame: Frame): void {
    for (let next = frame.dequeue(); next !== undefined; next = frame.dequeue()) {
      next();
    }
  }

  /** A failure that user code must not see ends the attempt: the engine already knows why. */
  #settle(reply: HostCallReply, resolve: (value: string) => void, reject: (error: HostCallError) => void): void {
    if (reply.ok) {
      resolve(reply.text);
    } else if (reply.catchable) {
      reject(toHostCallError(reply));
    } else {
      this.outcome ??= { ok: false, error: { message: reply.text, frames: [] } };
    }
  }
}

const IMPORT_TIME_NAMES: Record<string, string> = {
  "1.0/getUserIdentity": "getUserIdentity unsupported at import time",
  "1.0/schedule": "scheduler unsupported at import time",
  "1.0/cancel_job": "db.cancel_job unsupported at import time",
  "1.0/storageGetUrl": "storage.getUrl unsupported at import time",
  "1.0/storageGetMetadata": "storage.getMetadata unsupported at import time",
  "1.0/storageGenerateUploadUrl": "storage.generateUploadUrl unsupported at import time",
  "1.0/storageDelete": "storage.delete unsupported at import time",
};

/** One function on the call stack of an attempt. */
class Frame {
  open = true;
  importing = true;
  suspended = false;
  /** How the function's promise was settled. */
  outcome: Outcome | undefined;
  /** Told when the function is over. */
  readonly ended: (outcome: Outcome) => void;
  nowMs: number;
  random: SeededRandom;
  readonly #waiting: (() => void)[] = [];

  constructor(invocation: Invocation, ended: (outcome: Outcome) => void) {
    this.ended = ended;
    this.nowMs = invocation.importTimeMs;
    this.random = new SeededRandom(Buffer.from(invocation.importSeed, "hex"));
  }

  /** Module evaluation is over: the call's own clock and seed hold from here on. */
  beginExecution(invocation: Invocation): void {
    this.importing = false;
    this.nowMs = invocation.nowMs;
    this.random = new SeededRandom(Buffer.from(invocation.seed, "hex"));
  }

  enqueue(operation: () => void): void {
    this.#waiting.push(operation);
  }

  dequeue(): (() => void) | undefined {
    return this.suspended || !this.open ? undefined : this.#waiting.shift();
  }
}

function toHostCallError(reply: HostCallReply): HostCallError {
  return { message: reply.text, data: reply.data };
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
