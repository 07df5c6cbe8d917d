/**
 * A lane: one worker thread that runs queries and mutations, one at a time.
 *
 * It blocks in the addon while there is nothing to do. A call normally needs no turn of the event loop: microtasks are
 * drained by hand. Only when user code waits for a Web API that settles elsewhere (Web Crypto, blobs) does the lane
 * let the event loop turn.
 */

// First, because others take what it replaces from the global object while they are evaluated.
import "./lane-guards.ts";

import process from "node:process";
import v8 from "node:v8";
import { parentPort, workerData } from "node:worker_threads";

import { loadAddon, parseInvocation } from "./addon.ts";
import { HeapBounds, HeapRecord } from "./heap.ts";
import { CodeCache } from "./modules.ts";
import { describeThrown, payload } from "./outcome.ts";
import { protectThread, SHARED_CLASSES } from "./realm.ts";
import { classesWithPrototypes, SharedObjects } from "./shared-objects.ts";
import { Tidying } from "./tidying.ts";
import { RealmStock, TransactionRun } from "./transaction.ts";
import { WarmRealms } from "./warm.ts";
import { guardCalls } from "./web-guards.ts";

/** Exit code of a lane that asks to be replaced by a fresh one. */
export const EXIT_ROTATE = 17;
/** Exit code of a lane that asks to be replaced by one that lets code change the objects that its realms share. */
export const EXIT_UNPROTECT = 18;

/** How long an idle lane sleeps, unless something happens. */
const IDLE_MS = 60_000;
/** How long a promise is waited for when only a Web API that was touched could settle it. */
const GRACE_MS = 200;

/** What the main thread tells a thread when it starts it. */
export interface LaneData {
  /** The lane that it is to serve; a spare thread is told later, by a message that is the lane's number. */
  lane: number | undefined;
  /** Number of the thread, to tell it from those before it. */
  number: number;
  /** How much heap it may have. */
  memoryMebibytes: number;
  /** Whether changing the Web API's and the thread's other objects fails; otherwise changes are undone after a call. */
  isProtected: boolean;
  /** Memory of the `HeapRecord` that the lane keeps. */
  heap: SharedArrayBuffer;
}

const { lane: ownLane, number, isProtected, heap, memoryMebibytes } = workerData as LaneData;
const bounds = new HeapBounds(memoryMebibytes);
const heapRecord = new HeapRecord(heap);
const addon = loadAddon();
const lane = ownLane ?? (await assignedLane());
addon.laneEnter(lane, number);
countArrayBuffers();
const realms = new RealmStock();
const cache = new CodeCache();
const warmRealms = new WarmRealms(lane, addon, cache);
const tidying = new Tidying();
/** What calls can change of the objects that all realms share; nothing while those are protected. */
const shared = isProtected ? undefined : new SharedObjects(classesWithPrototypes(Object.values(SHARED_CLASSES)));
if (isProtected) {
  protectThread();
}
const parts = { lane, addon, realms, warmRealms, cache, threadIsProtected: isProtected };

/** Undocumented but stable since Node 0.x: runs microtasks and reports unhandled rejections, synchronously. */
const { _tickCallback: drainMicrotasks } = process as unknown as { _tickCallback: () => void };

let current: TransactionRun | undefined;
guardCalls(() => current?.innermost);
process.on("unhandledRejection", (reason, promise) => {
  current?.reject(promise, reason);
});
process.on("rejectionHandled", (promise) => {
  current?.forgive(promise);
});
// An exception out of a callback of a Web API; the call that caused it is the one that is running.
process.on("uncaughtException", (error) => {
  if (current !== undefined) {
    current.outcome ??= { ok: false, error: describeThrown(error) };
  }
});

/** Waits until a spare thread is needed. */
async function assignedLane(): Promise<number> {
  return await new Promise((resolve) => parentPort?.once("message", resolve));
}

/** Says so when this Node does not let the engine count array buffers, of which a call can then have as many as it likes. */
function countArrayBuffers(): void {
  const probe = new ArrayBuffer(4096);
  if (!addon.laneCountsArrayBuffers(lane) || probe.byteLength === 0) {
    process.stderr.write("array buffers of functions are not bounded on this Node.js\n");
  }
}

function serve(): void {
  for (;;) {
    // Look without waiting first: an idle moment is the time to prepare for the next call.
    let next = addon.laneNext(lane, 0);
    while (next === "") {
      next = addon.laneNext(lane, prepare() ? 0 : tidy());
    }
    if (next === null) {
      process.exit(0);
    }
    const run = new TransactionRun(parts);
    current = run;
    run.start(parseInvocation(next));
    if (!settle(run)) {
      waitForEventLoop(run);
      return;
    }
    finish(run);
  }
}

/** Uses an idle moment. Returns whether there was anything to do. */
function prepare(): boolean {
  const isPreparing = warmRealms.prepare();
  if (isPreparing) {
    tidying.codeChanged(performance.now());
  }
  drainMicrotasks();
  return realms.restock() || isPreparing;
}

/** Gives memory back when it is time. Returns how long the lane may sleep, unless something happens. */
function tidy(): number {
  const now = performance.now();
  const wait = tidying.waitMs(now);
  if (wait > 0) {
    return Math.min(wait, IDLE_MS);
  }
  warmRealms.forgetOlder();
  if (addon.laneTidy(lane)) {
    tidying.done();
    heapRecord.note(v8.getHeapStatistics().used_heap_size);
  } else {
    tidying.postpone(now);
  }
  return 0;
}

/** Drives a run as far as microtasks take it. False when only the event loop can take it further. */
function settle(run: TransactionRun): boolean {
  for (;;) {
    do {
      drainMicrotasks();
    } while (run.advance());
    if (run.outcome !== undefined) {
      return true;
    }
    if (run.held > 0 || run.mayNeedEventLoop) {
      return false;
    }
    run.giveUp();
  }
}

/**
 * Lets the event loop turn until the run is settled. Operations that are known to be under way are waited for (the
 * watchdog bounds that); for Web APIs that do not tell, there is a grace period.
 */
function waitForEventLoop(run: TransactionRun): void {
  let graceEnds = performance.now() + GRACE_MS;
  const turn = (): void => {
    let isSettled = settle(run);
    if (run.held > 0) {
      graceEnds = performance.now() + GRACE_MS;
    } else if (!isSettled && performance.now() >= graceEnds) {
      run.giveUp();
      graceEnds = performance.now() + GRACE_MS;
      isSettled = settle(run);
    }
    if (!isSettled) {
      setTimeout(turn, 0);
      return;
    }
    finish(run);
    serve();
  };
  setImmediate(turn);
}

function finish(run: TransactionRun): void {
  const outcome = run.verdict();
  run.close();
  current = undefined;
  if (run.mustStartOver) {
    addon.laneStartOver(lane);
  } else {
    addon.laneFinish(lane, outcome.ok, payload(outcome));
  }
  if (run.mustUnprotect) {
    process.exit(EXIT_UNPROTECT);
  }
  if (shared?.restore() === false) {
    process.exit(EXIT_ROTATE);
  }
  // Takes 1 us, when the caller has its answer. Single calls can leave megabytes: there is no number of them to wait for.
  const used = v8.getHeapStatistics().used_heap_size;
  if (bounds.isTooFull(used)) {
    process.exit(EXIT_ROTATE);
  }
  heapRecord.note(used);
  tidying.callEnded(performance.now());
}

// The module's own evaluation is a microtask; microtasks can be drained by hand only outside of it.
setImmediate(serve);
