/** What a call came to, and how a thrown value is described to the engine. */

import { fileURLToPath } from "node:url";

/** A JavaScript error before source maps are applied. */
export interface JsError {
  message: string;
  frames: string[];
  data?: string | undefined;
}

export type Outcome = { ok: true; value: string } | { ok: false; error: JsError };

/** The text that stands for an outcome at the addon: the result itself, or the error as JSON. */
export function payload(outcome: Outcome): string {
  return outcome.ok ? outcome.value : JSON.stringify(outcome.error);
}

/** The runtime's own files, as stack frames name them. */
const RUNTIME_FOLDER = new URL(".", import.meta.url);
const OWN_PLACES = ["node:", RUNTIME_FOLDER.href, fileURLToPath(RUNTIME_FOLDER)];
/** Name of the script that prepares realms. */
export const INSTALLER = "freshet:realm";

/** Whether a line of a stack is the runtime's or Node's, and so of no interest to the author. */
export function isOwnFrame(line: string): boolean {
  return line.includes(INSTALLER) || OWN_PLACES.some((place) => line.includes(place));
}

const MESSAGE_LENGTH_MAX = 65_536;
const FRAMES_MAX = 64;

/** An error that carries its own description; used by the runtime for failures that are not exceptions of user code. */
export class CallFailure extends Error {
  override name = "CallFailure";
}

/**
 * Describes whatever user code threw. Never throws: getters, proxies and exotic prototypes are the user's to write.
 */
export function describeThrown(thrown: unknown): JsError {
  try {
    if (thrown instanceof CallFailure) {
      return { message: thrown.message, frames: [] };
    }
    if (!isErrorLike(thrown)) {
      return { message: cut(`Uncaught ${describeNonError(thrown)}`), frames: [] };
    }
    const name = readText(thrown, "name", "Error");
    const message = readText(thrown, "message", "");
    const described: JsError = {
      message: cut(uncaught(name, message)),
      frames: stackFrames(thrown),
    };
    const data = convexErrorData(thrown);
    if (data !== undefined) {
      described.data = data;
    }
    return described;
  } catch {
    return { message: "Uncaught", frames: [] };
  }
}

function uncaught(name: string, message: string): string {
  if (name === "" && message === "") {
    return "Uncaught";
  }
  if (message === "") {
    return `Uncaught ${name}`;
  }
  return name === "" ? `Uncaught ${message}` : `Uncaught ${name}: ${message}`;
}

function isErrorLike(value: unknown): value is object {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  return Object.prototype.toString.call(value) === "[object Error]" || "stack" in value;
}

function readText(value: object, property: string, otherwise: string): string {
  const read: unknown = (value as Record<string, unknown>)[property];
  return read === undefined ? otherwise : toText(read);
}

/** `String()` of anything: what users see of a strange `name` or `message` is what JavaScript makes of it. */
const toText: (value: unknown) => string = String;

/** The engine's usual text for a thrown value that is no `Error`. */
function describeNonError(value: unknown): string {
  if (typeof value === "function") {
    return Function.prototype.toString.call(value);
  }
  if (typeof value !== "object" || value === null) {
    return String(value);
  }
  const constructor: unknown = (Object.getPrototypeOf(value) as { constructor?: unknown } | null)?.constructor;
  const name = typeof constructor === "function" && constructor.name !== "" ? constructor.name : "Object";
  return `#<${name}>`;
}

/** Frames by error, of errors whose `stack` shows other positions. */
const frameMemory = new WeakMap<object, string[]>();

/** Remembers the frames of an error as V8 has them. */
export function rememberFrames(error: object, frames: string[]): void {
  frameMemory.set(error, frames);
}

/** The frames that were remembered of an error. */
export function rememberedFrames(error: object): readonly string[] | undefined {
  return frameMemory.get(error);
}

/** The frames of V8's stack text that belong to modules of the app, positions still those of the bundle. */
function stackFrames(error: object): string[] {
  const stack: unknown = (error as { stack?: unknown }).stack;
  const lines = frameMemory.get(error) ?? (typeof stack === "string" ? stack.split("\n") : []);
  const frames: string[] = [];
  for (const line of lines) {
    if (!/^ {4}at /.test(line) || isOwnFrame(line)) {
      continue;
    }
    frames.push(line);
    if (frames.length === FRAMES_MAX) {
      break;
    }
  }
  return frames;
}

/**
 * A `ConvexError` marks itself with a symbol, because its class may come from another copy of the client package.
 * Its wrapper has already turned `data` into JSON text.
 */
function convexErrorData(error: object): string | undefined {
  const marker: unknown = (error as { ConvexErrorSymbol?: unknown }).ConvexErrorSymbol;
  if (typeof marker !== "symbol" || (error as Record<symbol, unknown>)[marker] !== true) {
    return undefined;
  }
  const data: unknown = (error as { data?: unknown }).data;
  return typeof data === "string" ? data : undefined;
}

function cut(text: string): string {
  return text.length > MESSAGE_LENGTH_MAX ? text.slice(0, MESSAGE_LENGTH_MAX) : text;
}
