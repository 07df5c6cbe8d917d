/**
 * The engine process's main thread: starts the Rust engine, keeps its lanes alive, and passes on signals.
 *
 * It does nothing on the path of a call. It is idle unless a lane has to be started or replaced.
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { loadAddon } from "./addon.ts";
import { HeapBounds, HeapRecord } from "./heap.ts";
import type { LaneData } from "./lane.ts";

interface EngineEvent {
  type: "terminateLane" | "fatal";
  lane?: number;
  /** Number of the thread that is meant; by now another may have taken its place. */
  thread?: number;
  reason?: string;
  code?: number;
}

/** A thread that serves a lane, or is going to. */
interface LaneThread {
  number: number;
  worker: Worker;
  heap: HeapRecord;
}

/** Exit code of a lane that asks to be replaced; see `lane.ts`. */
const EXIT_ROTATE = 17;
const EXIT_UNPROTECT = 18;
/** Exit code that tells the supervisor not to try again. */
const EXIT_CONFIGURATION = 78;
const CONFIGURATION_PREFIX = "configuration: ";
/** How long a lane waits to be started again after its thread ended by itself, which it does for no reason of a function. */
const PAUSE_MS = { first: 100, max: 5_000 };
/** A thread that lived this long ends the series of those that did not. */
const LONG_LIFE_MS = 10_000;
/** How long after a lane has got another thread the next spare one is started. */
const SPARE_PAUSE_MS = 250;

// Results must not depend on where the server stands.
process.env.TZ = "UTC";

const addon = loadAddon();
const lanes = new Map<number, LaneThread>();
/**
 * A thread that has loaded everything and waits for a lane whose own has ended. An engine that has never lost a thread
 * needs none, and saves the memory.
 */
let spare: LaneThread | undefined;
let bounds = new HeapBounds(256);
let threads = 0;
let stopping = false;

/** Starts a thread, for a lane or as a spare one. */
function startThread(lane: number | undefined, isProtected: boolean): LaneThread {
  const heap = new HeapRecord();
  threads += 1;
  const number = threads;
  const worker = new Worker(new URL("./lane.js", import.meta.url), {
    workerData: { lane, number, isProtected, heap: heap.memory, memoryMebibytes: bounds.limits.old } satisfies LaneData,
    env: { FRESHET_ADDON: process.env.FRESHET_ADDON, TZ: "UTC" },
    resourceLimits: {
      maxOldGenerationSizeMb: bounds.limits.old,
      maxYoungGenerationSizeMb: bounds.limits.young,
      stackSizeMb: 4,
    },
  });
  return { number, worker, heap };
}

/** Keeps a thread ready for the next lane that loses its own. */
function keepSpare(): void {
  if (spare !== undefined || stopping) {
    return;
  }
  const thread = startThread(undefined, true);
  spare = thread;
  // One that ends without having been needed is replaced when a lane has lost its thread again.
  const forget = (): void => {
    if (spare === thread) {
      spare = undefined;
    }
  };
  thread.worker.on("error", forget);
  thread.worker.on("exit", forget);
}

/** A thread that begins to serve a lane: the spare one, if that will do. */
function threadFor(lane: number, isProtected: boolean): LaneThread {
  const ready = spare;
  if (ready === undefined || !isProtected) {
    return startThread(lane, isProtected);
  }
  spare = undefined;
  ready.worker.removeAllListeners("error");
  ready.worker.removeAllListeners("exit");
  ready.worker.postMessage(lane);
  return ready;
}

/**
 * Gives a lane a thread. Almost no app changes the Web API's objects; the lanes of one that does go on without
 * protection of these, and look after each call whether there is something to undo. `failures` is how many threads before
 * this one ended at once and by themselves.
 */
function startLane(lane: number, isProtected = true, failures = 0): void {
  const startedAt = performance.now();
  const thread = threadFor(lane, isProtected);
  const { worker, heap } = thread;
  lanes.set(lane, thread);
  let reason = "crashed";
  worker.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") {
      reason = "outOfMemory";
    } else {
      process.stderr.write(`lane ${lane} failed: ${error.stack ?? error.message}\n`);
    }
  });
  worker.on("exit", (code) => {
    lanes.delete(lane);
    if (code === EXIT_ROTATE || code === EXIT_UNPROTECT) {
      reason = "rotated";
    }
    const isAccident = addon.laneExited(lane, reason, bounds.wasFull(heap.usedBytes));
    if (stopping) {
      return;
    }
    const nextIsProtected = isProtected && code !== EXIT_UNPROTECT;
    if (!isAccident) {
      startLane(lane, nextIsProtected);
      // Not beside the lane's own thread: that is needed sooner.
      setTimeout(keepSpare, SPARE_PAUSE_MS);
      return;
    }
    const nextFailures = performance.now() - startedAt < LONG_LIFE_MS ? failures + 1 : 1;
    const pause = Math.min(PAUSE_MS.first * 2 ** (nextFailures - 1), PAUSE_MS.max);
    process.stderr.write(`lane ${lane} ended unexpectedly; its thread is started again in ${pause} ms\n`);
    setTimeout(() => {
      if (!stopping) {
        startLane(lane, nextIsProtected, nextFailures);
      }
    }, pause);
  });
}

function onEvent(text: string): void {
  const event = JSON.parse(text) as EngineEvent;
  if (event.type === "fatal") {
    process.stderr.write(`${event.reason ?? "the engine failed"}\n`);
    process.exit(event.code ?? 1);
  }
  const thread = event.lane === undefined ? undefined : lanes.get(event.lane);
  if (event.lane !== undefined && thread?.number === event.thread && thread !== undefined) {
    void thread.worker.terminate();
    addon.laneOrderedToEnd(event.lane, thread.number);
  }
}

function stop(): void {
  if (stopping) {
    return;
  }
  stopping = true;
  addon.stopEngine();
  process.exit(0);
}

process.on("SIGINT", stop);
process.on("SIGTERM", stop);
// The supervisor holds the other end: when it dies, however it dies, nobody is left to serve for.
process.stdin.on("end", stop);
process.stdin.on("error", stop);
process.stdin.resume();

try {
  const config = process.env.FRESHET_ENGINE_CONFIG ?? "";
  // It holds the instance secret; nothing that is started from here needs it.
  delete process.env.FRESHET_ENGINE_CONFIG;
  const started = addon.startEngine(config, fileURLToPath(new URL(".", import.meta.url)), onEvent);
  const { lanes: count, memoryMb, report } = JSON.parse(started) as { lanes: number; memoryMb: number; report: unknown };
  bounds = new HeapBounds(memoryMb);
  for (let lane = 0; lane < count; lane += 1) {
    startLane(lane);
  }
  process.stdout.write(`FRESHET_READY ${JSON.stringify(report)}\n`);
} catch (error) {
  const { message } = error as Error;
  const isConfiguration = message.startsWith(CONFIGURATION_PREFIX);
  process.stderr.write(`${isConfiguration ? message.slice(CONFIGURATION_PREFIX.length) : message}\n`);
  process.exit(isConfiguration ? EXIT_CONFIGURATION : 1);
}
