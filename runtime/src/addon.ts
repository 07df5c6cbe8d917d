/** The native addon's interface, as the Rust side exports it. */

import process from "node:process";

/** Which context a function gets: one of its own, or one that it shares with calls before and after it. */
export type ContextMode = "fresh" | "verified" | "reuse";

/** A function, the same for all its calls. */
export interface FunctionIdentity {
  kind: "query" | "mutation";
  context: ContextMode;
  codeVersion: string;
  modulePath: string;
  exportName: string;
  /** Text that stands for all of these. */
  key: string;
}

/** One attempt of a query or mutation. */
export interface Invocation {
  function: FunctionIdentity;
  /** The frozen clock in milliseconds since the Unix epoch. */
  nowMs: number;
  /** JSON text of an array with the arguments object. */
  argsJson: string;
}

/** Seed and clock of module evaluation. */
export interface ImportPhase {
  /** 32 bytes in hex. */
  seed: string;
  timeMs: number;
}

/** What a lane can prepare. */
export interface NewestCode {
  version: string;
  /** Modules that run in shared contexts. */
  modules: [path: string, context: "verified" | "reuse"][];
  importPhase: ImportPhase;
}

/** A host call that failed. */
export interface HostCallFailure {
  message: string;
  data?: string;
  /** False: user code must not go on. */
  catchable: boolean;
}

/** Functions by key. A lane meets as many as the app has, in each version of its code. */
const functions = new Map<string, FunctionIdentity>();
const FUNCTIONS_MAX = 10_000;

/** Reads an invocation as the engine writes it: `NOW KIND CONTEXT VERSION MODULE:EXPORT`, a line break, the arguments. */
export function parseInvocation(text: string): Invocation {
  const end = text.indexOf("\n");
  const space = text.indexOf(" ");
  const key = text.slice(space + 1, end);
  let identity = functions.get(key);
  if (identity === undefined) {
    identity = parseFunction(key);
    if (functions.size >= FUNCTIONS_MAX) {
      functions.clear();
    }
    functions.set(identity.key, identity);
  }
  return { function: identity, nowMs: Number(text.slice(0, space)), argsJson: text.slice(end + 1) };
}

function parseFunction(key: string): FunctionIdentity {
  const [kind = "", context = "", codeVersion = ""] = key.split(" ", 3);
  const path = key.slice(kind.length + context.length + codeVersion.length + 3);
  const colon = path.lastIndexOf(":");
  return {
    kind: kind as FunctionIdentity["kind"],
    context: context as ContextMode,
    codeVersion,
    modulePath: path.slice(0, colon),
    exportName: path.slice(colon + 1),
    key,
  };
}

export interface Addon {
  startEngine(config: string, runtimeDir: string, onEvent: (event: string) => void): string;
  stopEngine(): void;
  /** Returns whether the thread ended by itself, for no reason that is known. */
  laneExited(lane: number, reason: string, memoryWasFull: boolean): boolean;
  /** The calling thread serves a lane; `thread` is its own number. */
  laneEnter(lane: number, thread: number): void;
  /** The order to end the thread was given. */
  laneOrderedToEnd(lane: number, thread: number): void;
  /** Whether the thread's array buffers are counted; to be asked after it has made one. */
  laneCountsArrayBuffers(lane: number): boolean;
  /** An invocation, an empty text when nothing came in time, or nothing when the engine closes. */
  laneNext(lane: number, timeoutMs: number): string | null;
  /** Gives back what ended calls have left, which takes milliseconds. False: another lane is at it, so that this one is there for calls. */
  laneTidy(lane: number): boolean;
  /** JSON text of `NewestCode`, if there is any. */
  laneNewestCode(lane: number): string | null;
  /** JSON text of `ImportPhase`. */
  laneImportPhase(lane: number): string | null;
  /** Seed of the function at a depth of the call stack; 32 bytes in hex. */
  laneSeed(lane: number, depth: number): string | null;
  laneModule(lane: number, path: string): string | null;
  /** Lines of a stack with positions in the author's sources. */
  laneMapStack(lane: number, lines: string[]): string[];
  /** Nothing means that it failed; see `laneFailure`. */
  laneSyscall(lane: number, op: string, args: string): string | null;
  /** Nothing means that it failed; see `laneFailure`. */
  laneSyncSyscall(lane: number, op: string, args: string): string | null;
  /** An invocation. Nothing means that it failed; see `laneFailure`. */
  laneBeginNested(lane: number, args: string): string | null;
  /** `payload` is the result, or the JSON text of the error. Nothing means that it failed; see `laneFailure`. */
  laneEndNested(lane: number, ok: boolean, payload: string): string | null;
  /** Why the last host call failed. */
  laneFailure(lane: number): HostCallFailure | null;
  laneLog(lane: number, level: string, messages: string[], truncated: boolean): void;
  /** `null` when it is not set; `undefined` means that it failed; see `laneFailure`. */
  laneEnv(lane: number, name: string): string | null | undefined;
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
