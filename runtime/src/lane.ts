/**
 * A lane: one worker thread that runs queries and mutations, one at a time.
 *
 * It blocks in the addon while there is nothing to do. A call normally needs no turn of the event loop: microtasks are
 * drained by hand. Only when user code waits for a Web API that settles elsewhere (Web Crypto, blobs) does the lane
 * let the event loop turn.
 */

import process from "node:process";
import v8 from "node:v8";
import { workerData } from "node:worker_threads";

import { loadAddon } from "./addon.ts";
import { CodeCache } from "./modules.ts";
import { describeThrown, payload } from "./outcome.ts";
import { SHARED_BINARY_CLASSES, SHARED_CLASSES } from "./realm.ts";
import { classesWithPrototypes, SharedObjects } from "./shared-objects.ts";
import { RealmStock, TransactionRun } from "./transaction.ts";
import { WarmRealms } from "./warm.ts";

/** Exit code of a lane that asks to be replaced by a fresh one. */
export const EXIT_ROTATE = 17;

/** A lane whose heap holds more than this after many calls is replaced; its garbage goes with it. */
const HEAP_BYTES_ROTATE = 160 * 1024 * 1024;
const CALLS_BETWEEN_HEAP_CHECKS = 256;
/** How long a promise is waited for when only a Web API that was touched could settle it. */
const GRACE_MS = 200;

const { lane } = workerData as { lane: number };
const addon = loadAddon();
const realms = new RealmStock();
const cache = new CodeCache();
const warmRealms = new WarmRealms(lane, addon, cache);
const shared = new SharedObjects(classesWithPrototypes(Object.values(SHARED_CLASSES)));
const sharedBinary = new SharedObjects(classesWithPrototypes(SHARED_BINARY_CLASSES));

/** Undocumented but stable since Node 0.x: runs microtasks and reports unhandled rejections, synchronously. */
const { _tickCallback: drainMicrotasks } = process as unknown as { _tickCallback: () => void };

let current: TransactionRun | undefined;
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

let calls = 0;

function serve(): void {
  for (;;) {
    // Look without waiting first: an idle moment is the time to prepare the next realm.
    let event = addon.laneNext(lane, 0);
    while (event.type === "idle") {
      event = addon.laneNext(lane, realms.restock() ? 0 : 60_000);
    }
    if (event.type === "closed") {
      process.exit(0);
    }
    const run = new TransactionRun(lane, addon, realms, warmRealms, cache);
    current = run;
    run.start(event.invocation);
    if (!settle(run)) {
      waitForEventLoop(run);
      return;
    }
    finish(run);
  }
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
  calls += 1;
  // The Web API is checked after those calls only that got hold of it.
  const touched = run.usedFreshRealm || run.usedWebApi ? shared : sharedBinary;
  if (!touched.restore()) {
    process.exit(EXIT_ROTATE);
  }
  if (calls % CALLS_BETWEEN_HEAP_CHECKS === 0 && v8.getHeapStatistics().used_heap_size > HEAP_BYTES_ROTATE) {
    process.exit(EXIT_ROTATE);
  }
}

// The module's own evaluation is a microtask; microtasks can be drained by hand only outside of it.
setImmediate(serve);
