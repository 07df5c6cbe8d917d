/**
 * Runs one attempt of a query or mutation, with everything it calls, in a lane.
 *
 * Host calls are carried out at once, on this thread; their promises are settled in the order in which they were
 * issued. While a nested function runs, the host calls of its caller wait, because they would otherwise happen inside
 * the callee's sub-transaction.
 */

import type { Addon, HostCallReply, Invocation } from "./addon.ts";
import { Frame, NESTED_CALL, type FrameOwner, type Settlement, toHostCallError } from "./frame.ts";
import { type CodeCache, ModuleGraph } from "./modules.ts";
import { CallFailure, describeThrown, payload, type Outcome } from "./outcome.ts";
import { Realm } from "./realm.ts";
import type { WarmRealm, WarmRealms } from "./warm.ts";

const NEVER: Outcome = { ok: false, error: { message: "Returned promise will never resolve", frames: [] } };

/**
 * What V8 says when code changes something that is protected in a shared realm, and could be changed in one of its own.
 */
const PROTECTED_CHANGE =
  /^Uncaught TypeError: (?:Cannot (?:assign to read only property|add property|redefine property|delete property|define property)|.* is not extensible)/;

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
  /** Whether functions ran in realms of their own. */
  usedFreshRealm = false;
  /** Whether functions that ran in shared realms used the Web API. */
  usedWebApi = false;

  readonly lane: number;
  readonly addon: Addon;
  readonly #realms: RealmStock;
  readonly #warmRealms: WarmRealms;
  readonly #cache: CodeCache;
  readonly #frames: Frame[] = [];
  /** The realms of all functions of this attempt, the finished ones included. */
  readonly #ownRealms: Realm[] = [];
  /** Rejections that nobody has handled yet. */
  readonly #unhandled = new Map<Promise<unknown>, unknown>();

  constructor(lane: number, addon: Addon, realms: RealmStock, warmRealms: WarmRealms, cache: CodeCache) {
    this.lane = lane;
    this.addon = addon;
    this.#realms = realms;
    this.#warmRealms = warmRealms;
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
    const frame = new Frame(this, invocation, ended);
    this.#frames.push(frame);
    this.#begin(frame).then(
      (value) => {
        frame.outcome = this.#returned(frame, value);
      },
      (thrown: unknown) => {
        // A function that failed does not go on, whatever it has started.
        frame.open = false;
        frame.outcome = { ok: false, error: describeThrown(thrown) };
        if (frame.warm !== undefined && PROTECTED_CHANGE.test(frame.outcome.error.message)) {
          this.#startOver(frame);
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
    const { modulePath, exportName, kind } = invocation;
    const text = `Function "${modulePath}:${exportName}" did not return JSON text from ${methodName(kind)}()`;
    return { ok: false, error: describeThrown(new CallFailure(text)) };
  }

  /** Gives the attempt up in favour of one in which the module of `frame` gets a realm of its own. */
  #startOver(frame: Frame): void {
    this.#warmRealms.refuse(frame.invocation.codeVersion, frame.invocation.modulePath);
    this.mustStartOver = true;
    this.outcome ??= NEVER;
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
    this.usedWebApi ||= warm?.realm.usedWebApi === true;
    if (warm !== undefined && this.held === 0 && !this.mayNeedEventLoop) {
      this.#warmRealms.give(warm);
    }
  }

  #begin(frame: Frame): Promise<unknown> {
    const { invocation } = frame;
    const { context, codeVersion, modulePath } = invocation;
    const warm =
      context === "fresh" ? undefined : this.#warmRealms.take(codeVersion, context, modulePath, frame);
    if (warm === undefined) {
      return this.#callFresh(frame);
    }
    this.#ownRealms.push(warm.realm);
    frame.warm = warm;
    warm.attach(frame);
    const key = functionKey(invocation);
    const invoke = warm.function(key);
    if (invoke === undefined) {
      return warm.realm.run(frame, () => this.#callWarm(frame, warm, key));
    }
    frame.beginExecution();
    return warm.realm.run(frame, () => promised(invoke, invocation.argsJson));
  }

  /** The first call of a function in a shared realm, perhaps of its module. */
  async #callWarm(frame: Frame, warm: WarmRealm, key: string): Promise<unknown> {
    const { invocation } = frame;
    const { codeVersion, modulePath } = invocation;
    let namespace = warm.namespace(modulePath);
    if (namespace === undefined) {
      try {
        namespace = await warm.load(modulePath);
      } catch {
        // It may not be the module's fault: shared realms are protected against changes.
        warm.noteImpure();
      }
      if (!warm.isPure || namespace === undefined) {
        this.#warmRealms.refuse(codeVersion, modulePath);
        frame.warm = undefined;
        return await this.#callFresh(frame);
      }
    }
    const invoke = find(namespace, invocation);
    warm.remember(key, invoke);
    frame.beginExecution();
    return await promised(invoke, invocation.argsJson);
  }

  async #callFresh(frame: Frame): Promise<unknown> {
    const { invocation } = frame;
    const realm = this.#realms.take();
    this.usedFreshRealm = true;
    this.#ownRealms.push(realm);
    realm.attach(frame);
    const graph = new ModuleGraph({
      realm,
      read: (path) => this.addon.laneModule(this.lane, path) ?? undefined,
      version: invocation.codeVersion,
      cache: this.#cache,
      dynamicImport: false,
    });
    const invoke = find(await graph.load(invocation.modulePath), invocation);
    frame.beginExecution();
    return await promised(invoke, invocation.argsJson);
  }

  #serveNested(frame: Frame, args: string, settlement: Settlement): void {
    const begun = this.addon.laneBeginNested(this.lane, args);
    if (begun.invocation === undefined) {
      if (begun.error !== undefined) {
        this.#settle(begun.error, settlement);
      }
      return;
    }
    frame.suspended = true;
    this.#run(begun.invocation, (outcome) => {
      const reply = this.addon.laneEndNested(this.lane, outcome.ok, payload(outcome));
      frame.suspended = false;
      this.#settle(reply, settlement);
      frame.serveWaiting();
    });
  }

  /** A failure that user code must not see ends the attempt: the engine already knows why. */
  #settle(reply: HostCallReply, { resolve, reject }: Settlement): void {
    if (reply.ok) {
      resolve(reply.text);
    } else if (reply.catchable) {
      reject(toHostCallError(reply));
    } else {
      this.outcome ??= { ok: false, error: { message: reply.text, frames: [] } };
    }
  }
}

/** What a function returns, as a promise of this realm; what it throws, as a rejection. */
async function promised(invoke: Invoke, args: string): Promise<unknown> {
  return await invoke(args);
}

function functionKey({ kind, modulePath, exportName }: Invocation): string {
  return `${kind} ${modulePath}:${exportName}`;
}

function methodName(kind: Invocation["kind"]): "invokeQuery" | "invokeMutation" {
  return kind === "query" ? "invokeQuery" : "invokeMutation";
}

/** Looks a function up in the exports of its module. */
function find(namespace: Record<string, unknown>, { kind, modulePath, exportName }: Invocation): Invoke {
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
