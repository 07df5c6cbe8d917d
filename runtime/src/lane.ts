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
import { describeThrown, payload, type Outcome } from "./outcome.ts";
import { RealmStock, TransactionRun } from "./transaction.ts";

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

/** Undocumented but stable since Node 0.x: runs microtasks and reports unhandled rejections, synchronously. */
const { _tickCallback: drainMicrotasks } = process as unknown as { _tickCallback: () => void };

let current: TransactionRun | undefined;
process.on("unhandledRejection", (reason, promise) => {
  current?.unhandled.set(promise, reason);
});
process.on("rejectionHandled", (promise) => {
  current?.unhandled.delete(promise);
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
    const run = new TransactionRun(lane, addon, realms, cache);
    current = run;
    run.start(event.invocation);
    drainMicrotasks();
    if (run.outcome === undefined && (run.held > 0 || run.mayNeedEventLoop)) {
      waitForEventLoop(run);
      return;
    }
    finish(run);
  }
}

/**
 * Lets the event loop turn until the run is settled. Operations that are known to be under way are waited for (the
 * watchdog bounds that); for Web APIs that do not tell, there is a grace period.
 */
function waitForEventLoop(run: TransactionRun): void {
  let graceEnds = performance.now() + GRACE_MS;
  const turn = (): void => {
    drainMicrotasks();
    if (run.held > 0) {
      graceEnds = performance.now() + GRACE_MS;
    }
    if (run.outcome === undefined && performance.now() < graceEnds) {
      setTimeout(turn, 0);
      return;
    }
    finish(run);
    serve();
  };
  setImmediate(turn);
}

function finish(run: TransactionRun): void {
  const outcome = finalOutcome(run);
  run.close();
  current = undefined;
  addon.laneFinish(lane, outcome.ok, payload(outcome));
  calls += 1;
  if (calls % CALLS_BETWEEN_HEAP_CHECKS === 0 && v8.getHeapStatistics().used_heap_size > HEAP_BYTES_ROTATE) {
    process.exit(EXIT_ROTATE);
  }
}

function finalOutcome(run: TransactionRun): Outcome {
  const [rejection] = run.unhandled.values();
  if (run.unhandled.size > 0 && run.outcome?.ok !== false) {
    return { ok: false, error: describeThrown(rejection) };
  }
  return run.outcome ?? { ok: false, error: { message: "Returned promise will never resolve", frames: [] } };
}

// The module's own evaluation is a microtask; microtasks can be drained by hand only outside of it.
setImmediate(serve);
