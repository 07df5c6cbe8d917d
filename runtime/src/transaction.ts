/**
 * Runs one attempt of a query or mutation, with everything it calls, in a lane.
 *
 * Host calls are carried out at once, on this thread; their promises are settled in the order in which they were
 * issued. While a nested function runs, the host calls of its caller wait, because they would otherwise happen inside
 * the callee's sub-transaction.
 */

import { type Addon, type FunctionIdentity, type Invocation, parseInvocation } from "./addon.ts";
import { failureOf, Frame, FUNCTION_IS_OVER, NESTED_CALL, type FrameOwner, type Settlement } from "./frame.ts";
import { type CodeCache, ModuleGraph } from "./modules.ts";
import { CallFailure, describeThrown, payload, type Outcome } from "./outcome.ts";
import { PROTECTED_CHANGE } from "./protect.ts";
import { Realm } from "./realm.ts";
import type { WarmRealm, WarmRealms } from "./warm.ts";

const NEVER: Outcome = { ok: false, error: { message: "Returned promise will never resolve", frames: [] } };

/** Makes realms ahead of time, so that a call need not wait for one. */
export class RealmStock {
  #spare: Realm | undefined;
  #isWanted = false;

  take(): Realm {
    const realm = this.#spare ?? new Realm("transaction");
    this.#spare = undefined;
    this.#isWanted = true;
    return realm;
  }

  /** Makes a realm if the last one was used. Returns whether there was anything to do. */
  restock(): boolean {
    if (!this.#isWanted || this.#spare !== undefined) {
      return false;
    }
    this.#isWanted = false;
    this.#spare = new Realm("transaction");
    return true;
  }
}

/** What the attempts of a lane have in common. */
export interface LaneParts {
  lane: number;
  addon: Addon;
  realms: RealmStock;
  warmRealms: WarmRealms;
  cache: CodeCache;
  /** Whether the objects that all realms of the thread share are protected; otherwise they are put back. */
  threadIsProtected: boolean;
}

type Invoke = (args: string) => unknown;

/**
 * One top-level attempt. Whoever drives it drains the microtasks, then calls `advance()`, until that has nothing more to
 * do.
 */
export class TransactionRun implements FrameOwner {
  /** Set once the outcome is known. */
  outcome: Outcome | undefined;
  mayNeedEventLoop = false;
  held = 0;
  /** Whether the attempt is to be begun again, because a shared realm was not good enough for it. */
  mustStartOver = false;
  /** Whether it is to be begun again in a thread whose own objects are not protected. */
  mustUnprotect = false;

  readonly lane: number;
  readonly addon: Addon;
  readonly #realms: RealmStock;
  readonly #warmRealms: WarmRealms;
  readonly #cache: CodeCache;
  readonly #threadIsProtected: boolean;
  readonly #frames: Frame[] = [];
  /** The realms of all functions of this attempt, the finished ones included. */
  readonly #ownRealms: Realm[] = [];
  /** Rejections that nobody has handled yet. */
  readonly #unhandled = new Map<Promise<unknown>, unknown>();

  constructor({ lane, addon, realms, warmRealms, cache, threadIsProtected }: LaneParts) {
    this.lane = lane;
    this.addon = addon;
    this.#realms = realms;
    this.#warmRealms = warmRealms;
    this.#cache = cache;
    this.#threadIsProtected = threadIsProtected;
  }

  /** The function that runs at the moment. */
  get innermost(): Frame | undefined {
    return this.#frames.at(-1);
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
    // What an ended function left behind fails alone; it may have been another call's.
    if (isOurs && !isRefusal(reason)) {
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
      this.#release(frame);
    }
    this.#frames.length = 0;
  }

  serve(frame: Frame, op: string, args: string, settlement: Settlement): void {
    if (op === NESTED_CALL) {
      this.#serveNested(frame, args, settlement);
    } else {
      this.#settle(this.addon.laneSyscall(this.lane, op, args), settlement);
    }
  }

  fail(failure: CallFailure): void {
    this.outcome ??= { ok: false, error: describeThrown(failure) };
  }

  #run(invocation: Invocation, ended: (outcome: Outcome) => void): void {
    const frame = new Frame(this, invocation, this.#frames.length, ended);
    this.#frames.push(frame);
    this.#begin(frame).then(
      (value) => {
        frame.outcome = this.#returned(frame, value);
      },
      (thrown: unknown) => {
        // A function that failed does not go on, whatever it has started.
        frame.open = false;
        frame.outcome = { ok: false, error: describeThrown(thrown) };
        if (PROTECTED_CHANGE.test(frame.outcome.error.message) && this.#metProtection(frame)) {
          this.mustStartOver = true;
          this.outcome ??= NEVER;
        } else if (frame === this.#frames[0]) {
          this.outcome ??= frame.outcome;
        }
      },
    );
  }

  #returned({ invocation }: Frame, value: unknown): Outcome {
    if (typeof value === "string") {
      return { ok: true, value };
    }
    const { modulePath, exportName, kind } = invocation.function;
    const text = `Function "${modulePath}:${exportName}" did not return JSON text from ${methodName(kind)}()`;
    return { ok: false, error: describeThrown(new CallFailure(text)) };
  }

  /** Code tried to change something that is protected. Returns whether that can be different the next time. */
  #metProtection(frame: Frame): boolean {
    if (frame.warm !== undefined) {
      this.#warmRealms.refuse(frame.invocation.function);
      return true;
    }
    this.mustUnprotect = this.#threadIsProtected;
    return this.mustUnprotect;
  }

  #end(frame: Frame, outcome: Outcome): void {
    this.#frames.pop();
    frame.open = false;
    this.#release(frame);
    frame.end(outcome);
  }

  /** Leaves the shared realm of a function that is over to the next one, if nothing of it can still be under way. */
  #release(frame: Frame): void {
    const { warm } = frame;
    frame.warm = undefined;
    if (warm !== undefined && this.held === 0 && !this.mayNeedEventLoop) {
      this.#warmRealms.give(warm);
    }
  }

  #begin(frame: Frame): Promise<unknown> {
    const { invocation } = frame;
    const warm = this.#warmRealms.take(invocation.function, frame);
    if (warm === undefined) {
      return this.#callFresh(frame);
    }
    this.#ownRealms.push(warm.realm);
    frame.warm = warm;
    warm.attach(frame);
    const invoke = warm.function(invocation.function);
    if (invoke === undefined) {
      return warm.realm.run(frame, () => this.#callWarm(frame, warm));
    }
    frame.beginExecution();
    return warm.realm.run(frame, () => promised(invoke, invocation.argsJson));
  }

  /** The first call of a function in a shared realm, perhaps of its module. */
  async #callWarm(frame: Frame, warm: WarmRealm): Promise<unknown> {
    const { invocation } = frame;
    const { modulePath } = invocation.function;
    let namespace = warm.namespace(modulePath);
    if (namespace === undefined) {
      try {
        namespace = await warm.load(modulePath);
      } catch {
        // It may not be the module's fault: shared realms are protected against changes.
        warm.noteImpure();
      }
      if (!warm.isPure || namespace === undefined) {
        this.#warmRealms.refuse(invocation.function);
        frame.warm = undefined;
        return await this.#callFresh(frame);
      }
    }
    const invoke = find(namespace, invocation.function);
    warm.remember(invocation.function, invoke);
    frame.beginExecution();
    return await promised(invoke, invocation.argsJson);
  }

  async #callFresh(frame: Frame): Promise<unknown> {
    const { invocation } = frame;
    const realm = this.#realms.take();
    this.#ownRealms.push(realm);
    realm.attach(frame);
    const graph = new ModuleGraph({
      realm,
      read: (path) => this.addon.laneModule(this.lane, path) ?? undefined,
      version: invocation.function.codeVersion,
      cache: this.#cache,
      dynamicImport: false,
    });
    const invoke = find(await graph.load(invocation.function.modulePath), invocation.function);
    frame.beginExecution();
    return await promised(invoke, invocation.argsJson);
  }

  #serveNested(frame: Frame, args: string, settlement: Settlement): void {
    const begun = this.addon.laneBeginNested(this.lane, args);
    if (begun === null) {
      this.#settle(null, settlement);
      return;
    }
    frame.suspended = true;
    this.#run(parseInvocation(begun), (outcome) => {
      const reply = this.addon.laneEndNested(this.lane, outcome.ok, payload(outcome));
      frame.suspended = false;
      this.#settle(reply, settlement);
      frame.serveWaiting();
    });
  }

  /** A failure that user code must not see ends the attempt: the engine already knows why. */
  #settle(value: string | null, { resolve, reject }: Settlement): void {
    if (value !== null) {
      resolve(value);
      return;
    }
    const failure = failureOf(this.addon, this.lane);
    if (failure.catchable) {
      reject(failure);
    } else {
      this.outcome ??= { ok: false, error: { message: failure.message, frames: [] } };
    }
  }
}

/** Whether something was rejected because its function is over. Whatever user code may have made of the reason. */
function isRefusal(reason: unknown): boolean {
  return describeThrown(reason).message === `Uncaught Error: ${FUNCTION_IS_OVER}`;
}

/** What a function returns, as a promise of this realm; what it throws, as a rejection. */
async function promised(invoke: Invoke, args: string): Promise<unknown> {
  return await invoke(args);
}

function methodName(kind: FunctionIdentity["kind"]): "invokeQuery" | "invokeMutation" {
  return kind === "query" ? "invokeQuery" : "invokeMutation";
}

/** Looks a function up in the exports of its module. */
function find(namespace: Record<string, unknown>, { kind, modulePath, exportName }: FunctionIdentity): Invoke {
  const target: unknown = namespace[exportName];
  if (target === undefined) {
    throw new CallFailure(`Couldn't find ${JSON.stringify(exportName)} in module "${modulePath}".`);
  }
  const invoke: unknown = isObject(target) ? (target as Record<string, unknown>)[methodName(kind)] : undefined;
  if (typeof invoke !== "function") {
    throw new CallFailure(
      `Function "${modulePath}:${exportName}" is neither a query or mutation. ` +
        "Did you forget to wrap it with `query` or `mutation`?",
    );
  }
  return (args) => (invoke as Invoke).call(target, args);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}
