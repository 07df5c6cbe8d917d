/**
 * One function on the call stack of an attempt, and what it asks of the engine.
 *
 * A frame answers for as long as its function runs. What is left of a function that is over gets nothing any more, so
 * that it can neither read nor write in whatever runs next.
 */

import type { Addon, HostCallFailure, ImportPhase, Invocation } from "./addon.ts";
import type { LogLevel } from "./console.ts";
import { CallFailure, type Outcome } from "./outcome.ts";
import { SeededRandom } from "./random.ts";
import type { HostCallError, RealmHost } from "./realm.ts";
import type { WarmRealm } from "./warm.ts";

export const NESTED_CALL = "1.0/runUdf";

/** What a host call of a function that is over fails with. */
export const FUNCTION_IS_OVER = "This function has already returned: its host calls are no longer served.";

/** Settles the promise of one asynchronous host call. */
export interface Settlement {
  resolve: (value: string) => void;
  reject: (error: HostCallError) => void;
}

/** What a frame needs of the attempt that it belongs to. */
export interface FrameOwner {
  readonly addon: Addon;
  readonly lane: number;
  /** Carries out an asynchronous host call. */
  serve(frame: Frame, op: string, args: string, settlement: Settlement): void;
  /** Ends the attempt, whether or not user code catches the exception. */
  fail(failure: CallFailure): void;
  /** Whether a Web API was touched whose promises may need the event loop. */
  mayNeedEventLoop: boolean;
  /** Operations under way that need the event loop. */
  held: number;
}

type WaitingCall = () => void;

export class Frame implements RealmHost {
  open = true;
  importing = true;
  /** While a nested function runs, the host calls of its caller wait. */
  suspended = false;
  /** How the function's promise was settled. */
  outcome: Outcome | undefined;
  /** The shared realm that the function runs in, if it does. */
  warm: WarmRealm | undefined;
  readonly invocation: Invocation;
  /** Place on the call stack, 0 for the function that was called first. */
  readonly depth: number;
  readonly #owner: FrameOwner;
  readonly #ended: (outcome: Outcome) => void;
  #importPhase: ImportPhase | undefined;
  #random: SeededRandom | undefined;
  #timers: Map<string, number> | undefined;
  #waiting: WaitingCall[] | undefined;
  #observedTime = false;
  readonly #startedAt = performance.now();

  constructor(owner: FrameOwner, invocation: Invocation, depth: number, ended: (outcome: Outcome) => void) {
    this.#owner = owner;
    this.invocation = invocation;
    this.depth = depth;
    this.#ended = ended;
  }

  /** Module evaluation is over: the call's own clock and seed hold from here on. */
  beginExecution(): void {
    this.importing = false;
    this.#random = undefined;
  }

  /** Tells whoever waits that the function is over. */
  end(outcome: Outcome): void {
    this.open = false;
    this.#ended(outcome);
  }

  now(): number {
    if (this.importing) {
      return this.#phase().timeMs;
    }
    if (this.open && !this.#observedTime) {
      this.#observedTime = true;
      this.#owner.addon.laneObservedTime(this.#owner.lane);
    }
    return this.invocation.nowMs;
  }

  elapsed(): number {
    // Queries can be answered from a cache, so their time stands still.
    if (this.importing || this.invocation.function.kind === "query") {
      return 0;
    }
    return Math.floor((performance.now() - this.#startedAt) * 10) / 10;
  }

  timeOrigin(): number {
    return this.#phase().timeMs;
  }

  mapStack(lines: string[]): string[] {
    const { addon, lane } = this.#owner;
    return addon.laneMapStack(lane, lines);
  }

  randomDouble(): number {
    return this.#randomness().nextDouble();
  }

  randomFill(bytes: Uint8Array): void {
    this.#randomness().fill(bytes);
  }

  randomUuid(): string {
    return this.#randomness().uuid();
  }

  timers(): Map<string, number> {
    this.#timers ??= new Map();
    return this.#timers;
  }

  env(name: string): string | undefined {
    if (!this.open) {
      return undefined;
    }
    const value = this.readEnvironment(name);
    if (this.importing) {
      this.warm?.noteEnvironment(name, value);
    }
    return value;
  }

  /** Reads a variable; the call depends on it from now on. */
  readEnvironment(name: string): string | undefined {
    const { addon, lane } = this.#owner;
    const value = addon.laneEnv(lane, name);
    if (value === undefined) {
      throw new Error(failureOf(addon, lane).message);
    }
    return value ?? undefined;
  }

  log(level: LogLevel, messages: string[], truncated: boolean): void {
    if (this.importing && this.warm !== undefined) {
      // Every call of a fresh context prints it.
      this.warm.noteImpure();
    } else if (this.open) {
      this.#owner.addon.laneLog(this.#owner.lane, level, messages, truncated);
    }
  }

  syscall(op: string, args: string): { ok: true; value: string } | { ok: false; error: HostCallError } {
    const refused = this.#refusal(op);
    if (refused !== undefined) {
      return { ok: false, error: { message: refused } };
    }
    const { addon, lane } = this.#owner;
    const value = addon.laneSyncSyscall(lane, op, args);
    return value === null ? { ok: false, error: failureOf(addon, lane) } : { ok: true, value };
  }

  asyncSyscall(
    op: string,
    args: string,
    resolve: (value: string) => void,
    reject: (error: HostCallError) => void,
  ): void {
    if (!this.open) {
      // What is left of a function that is over does not go on.
      return;
    }
    const refused = this.#refusal(op);
    if (refused !== undefined) {
      reject({ message: refused });
    } else if (this.suspended) {
      this.#waiting ??= [];
      this.#waiting.push(() => { this.#owner.serve(this, op, args, { resolve, reject }); });
    } else {
      this.#owner.serve(this, op, args, { resolve, reject });
    }
  }

  jsSyscall(op: string): never {
    const failure = new CallFailure(`Unknown JS syscall: ${op}`);
    this.#owner.fail(failure);
    throw failure;
  }

  mayWait(): void {
    this.#owner.mayNeedEventLoop = true;
    this.#noteIfImporting();
  }

  hold(): () => void {
    const owner = this.#owner;
    owner.held += 1;
    this.#noteIfImporting();
    return () => {
      owner.held -= 1;
    };
  }

  /** Carries out the host calls that waited for a nested function. */
  serveWaiting(): void {
    while (!this.suspended && this.open) {
      const next = this.#waiting?.shift();
      if (next === undefined) {
        return;
      }
      next();
    }
  }

  #noteIfImporting(): void {
    if (this.importing) {
      this.warm?.noteImpure();
    }
  }

  #randomness(): SeededRandom {
    this.#noteIfImporting();
    if (this.#random === undefined) {
      const { addon, lane } = this.#owner;
      const seed = this.importing ? this.#phase().seed : (addon.laneSeed(lane, this.depth) ?? "");
      this.#random = new SeededRandom(Buffer.from(seed, "hex"));
    }
    return this.#random;
  }

  #phase(): ImportPhase {
    this.#importPhase ??= JSON.parse(this.#owner.addon.laneImportPhase(this.#owner.lane) ?? "{}") as ImportPhase;
    return this.#importPhase;
  }

  #refusal(op: string): string | undefined {
    if (!this.open) {
      return FUNCTION_IS_OVER;
    }
    if (!this.importing) {
      return undefined;
    }
    if (op === NESTED_CALL) {
      return "Cannot call another function at import time";
    }
    return IMPORT_TIME_NAMES[op] ?? "Can't use database at import time";
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

/** Why the host call failed that just came back without a result. */
export function failureOf(addon: Addon, lane: number): HostCallFailure {
  return addon.laneFailure(lane) ?? { message: "A host call failed.", catchable: false };
}
