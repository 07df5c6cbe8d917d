/** The `console` of functions: formats its arguments and hands finished lines to the engine. */

import { inspect } from "./inspect.ts";
import { isOwnFrame, rememberedFrames } from "./outcome.ts";

export type LogLevel = "DEBUG" | "ERROR" | "WARN" | "INFO" | "LOG";

/** Receives each line: its level and its formatted arguments. */
export type LogWriter = (level: LogLevel, messages: string[], truncated: boolean) => void;

const LINE_BYTES_MAX = 32_768;

export type ConsoleMethods = Record<string, (...values: unknown[]) => void>;

/**
 * Methods of a console that writes to `write`; `now` is the clock of `console.time`, in milliseconds, `timers` gives
 * those that the call has started, and `mapStack` translates stacks.
 */
export function consoleMethods(
  write: LogWriter,
  now: () => number,
  timers: () => Map<string, number>,
  mapStack: (lines: string[]) => string[],
): ConsoleMethods {
  const emit = (level: LogLevel, values: unknown[], stack = ""): void => {
    const messages: string[] = [];
    let room = LINE_BYTES_MAX;
    let truncated = false;
    for (const value of values) {
      let text = inspect(value);
      let size = Buffer.byteLength(text);
      if (size > room) {
        text = Buffer.from(text).subarray(0, room).toString("utf8").replace(/\uFFFD$/, "");
        size = room;
        truncated = true;
      }
      messages.push(text);
      room -= size + 1;
      if (room <= 0) {
        truncated ||= messages.length < values.length;
        break;
      }
    }
    if (stack !== "") {
      messages.push(`${messages.pop() ?? ""}${stack}`);
    }
    write(level, messages, truncated);
  };
  const elapsed = (label: string): string | undefined => {
    const start = timers().get(label);
    return start === undefined ? undefined : `${label}: ${Math.round(now() - start)}ms`;
  };
  const raw = (level: LogLevel, text: string, rest: unknown[]): void => {
    write(level, [text, ...rest.map(inspect)], false);
  };
  return {
    log: (...values) => { emit("LOG", values); },
    info: (...values) => { emit("INFO", values); },
    warn: (...values) => { emit("WARN", values); },
    error: (...values) => { emit("ERROR", values); },
    debug: (...values) => { emit("DEBUG", values); },
    assert: (condition, ...values) => {
      if (condition !== true && !condition) {
        emit("ERROR", ["Assertion failed", ...values]);
      }
    },
    trace: (...values) => {
      const error = new Error();
      const stack = error.stack ?? "";
      const lines = (rememberedFrames(error) ?? stack.split("\n").slice(1)).filter((line) => !isOwnFrame(line));
      emit("LOG", values, mapStack(lines).map((line) => `\n${line}`).join(""));
    },
    time: (label = "default") => {
      const name = String(label);
      if (timers().has(name)) {
        raw("WARN", `Timer '${name}' already exists`, []);
      } else {
        timers().set(name, now());
      }
    },
    timeLog: (label = "default", ...rest) => {
      const text = elapsed(String(label));
      raw(text === undefined ? "WARN" : "INFO", text ?? `Timer '${String(label)}' does not exist`, rest);
    },
    timeEnd: (label = "default") => {
      const text = elapsed(String(label));
      timers().delete(String(label));
      raw(text === undefined ? "WARN" : "INFO", text ?? `Timer '${String(label)}' does not exist`, []);
    },
  };
}
