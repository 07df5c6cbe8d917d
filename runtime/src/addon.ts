/** The native addon's interface, as the Rust side exports it. */

import process from "node:process";

/** One attempt of a query or mutation. */
export interface Invocation {
  kind: "query" | "mutation";
  modulePath: string;
  exportName: string;
  argsJson: string;
  /** 32 bytes in hex. */
  seed: string;
  nowMs: number;
  codeVersion: string;
  importSeed: string;
  importTimeMs: number;
  /** Which context it gets: one of its own, or one that it shares with calls before and after it. */
  context: "fresh" | "verified" | "reuse";
}

/** What `laneNext` came back with. */
export type LaneEvent = { type: "run"; invocation: Invocation } | { type: "idle" } | { type: "closed" };

export interface HostCallReply {
  ok: boolean;
  /** The reply, or the error's message. */
  text: string;
  data?: string;
  /** False: user code must not go on. */
  catchable: boolean;
}

export interface NestedCall {
  invocation?: Invocation;
  error?: HostCallReply;
}

export interface Addon {
  startEngine(config: string, runtimeDir: string, onEvent: (event: string) => void): string;
  stopEngine(): void;
  laneExited(lane: number, reason: string): void;
  laneNext(lane: number, timeoutMs: number): LaneEvent;
  laneModule(lane: number, path: string): string | null;
  laneSyscall(lane: number, op: string, args: string): HostCallReply;
  laneSyncSyscall(lane: number, op: string, args: string): HostCallReply;
  laneBeginNested(lane: number, args: string): NestedCall;
  /** `payload` is the result, or the JSON text of the error. */
  laneEndNested(lane: number, ok: boolean, payload: string): HostCallReply;
  laneLog(lane: number, level: string, messages: string[], truncated: boolean): void;
  laneEnv(lane: number, name: string): HostCallReply | null;
  laneObservedTime(lane: number): void;
  /** Takes the running call back, to be begun again by the next `laneNext`. */
  laneStartOver(lane: number): void;
  /** `payload` is the result, or the JSON text of the error. */
  laneFinish(lane: number, ok: boolean, payload: string): void;
}

/** Loads the addon. Each thread that uses it has to. */
export function loadAddon(): Addon {
  const path = process.env.FRESHET_ADDON;
  if (path === undefined) {
    throw new Error("FRESHET_ADDON is not set: the engine is started by `freshet serve`");
  }
  const module = { exports: {} };
  process.dlopen(module, path);
  return module.exports as Addon;
}
