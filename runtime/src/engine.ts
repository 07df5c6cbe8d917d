/**
 * The engine process's main thread: starts the Rust engine, keeps its lanes alive, and passes on signals.
 *
 * It does nothing on the path of a call. It is idle unless a lane has to be started or replaced.
 */

import process from "node:process";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";

import { loadAddon } from "./addon.ts";
import { HeapRecord, LANE_HEAP_MEBIBYTES } from "./heap.ts";
import type { LaneData } from "./lane.ts";

interface EngineEvent {
  type: "terminateLane" | "fatal";
  lane?: number;
  reason?: string;
  code?: number;
}

/** Exit code of a lane that asks to be replaced; see `lane.ts`. */
const EXIT_ROTATE = 17;
const EXIT_UNPROTECT = 18;
/** Exit code that tells the supervisor not to try again. */
const EXIT_CONFIGURATION = 78;
const CONFIGURATION_PREFIX = "configuration: ";

// Results must not depend on where the server stands.
process.env.TZ = "UTC";

const addon = loadAddon();
const lanes = new Map<number, Worker>();
/** Why a lane is being terminated; told to the engine when it is gone. */
const verdicts = new Map<number, string>();
let stopping = false;

/**
 * Starts the thread of a lane. Almost no app changes the Web API's objects; the lanes of one that does go on without
 * protection of these, and look after each call whether there is something to undo.
 */
function startLane(lane: number, isProtected = true): void {
  const heap = new HeapRecord();
  const worker = new Worker(new URL("./lane.js", import.meta.url), {
    workerData: { lane, isProtected, heap: heap.memory } satisfies LaneData,
    env: { FRESHET_ADDON: process.env.FRESHET_ADDON, TZ: "UTC" },
    resourceLimits: {
      maxOldGenerationSizeMb: LANE_HEAP_MEBIBYTES.old,
      maxYoungGenerationSizeMb: LANE_HEAP_MEBIBYTES.young,
      stackSizeMb: 4,
    },
  });
  lanes.set(lane, worker);
  let reason = "crashed";
  worker.on("error", (error: Error & { code?: string }) => {
    if (error.code === "ERR_WORKER_OUT_OF_MEMORY") {
      reason = heap.exhaustion();
    } else {
      process.stderr.write(`lane ${lane} failed: ${error.stack ?? error.message}\n`);
    }
  });
  worker.on("exit", (code) => {
    lanes.delete(lane);
    const verdict = verdicts.get(lane) ?? (code === EXIT_ROTATE || code === EXIT_UNPROTECT ? "rotated" : reason);
    verdicts.delete(lane);
    addon.laneExited(lane, verdict);
    if (!stopping) {
      startLane(lane, isProtected && code !== EXIT_UNPROTECT);
    }
  });
}

function onEvent(text: string): void {
  const event = JSON.parse(text) as EngineEvent;
  if (event.type === "fatal") {
    process.stderr.write(`${event.reason ?? "the engine failed"}\n`);
    process.exit(event.code ?? 1);
  }
  if (event.lane !== undefined) {
    verdicts.set(event.lane, event.reason ?? "crashed");
    void lanes.get(event.lane)?.terminate();
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
  const ready = addon.startEngine(config, fileURLToPath(new URL(".", import.meta.url)), onEvent);
  const { lanes: count, report } = JSON.parse(ready) as { lanes: number; report: unknown };
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
