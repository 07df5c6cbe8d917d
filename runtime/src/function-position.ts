/**
 * Finds where in its module a function is written. Only V8's inspector tells, so this is for the evaluation of pushed code
 * alone, in a process that ends with it.
 */

import { type Runtime, Session } from "node:inspector";

/** Line and column, from 0. */
export type Position = [line: number, column: number];

/** The name under which the inspector is shown a function. */
const SHOWN = "__freshetShownFunction";

let session: Session | undefined;

/** Where `target` begins in `source`; nothing when it is no function, or written elsewhere. */
export function positionOf(target: unknown, source: string | undefined): Position | undefined {
  if (typeof target !== "function" || source?.includes(Function.prototype.toString.call(target)) !== true) {
    return undefined;
  }
  const globals = globalThis as unknown as Record<string, unknown>;
  globals[SHOWN] = target;
  try {
    return askInspector();
  } finally {
    Reflect.deleteProperty(globalThis, SHOWN);
  }
}

function askInspector(): Position | undefined {
  if (session === undefined) {
    session = new Session();
    session.connect();
  }
  const open = session;
  let found: Position | undefined;
  // Answers come before the calls return.
  open.post("Runtime.evaluate", { expression: `globalThis.${SHOWN}` }, (_error: Error | null, evaluated?: Runtime.EvaluateReturnType) => {
    const objectId = evaluated?.result.objectId;
    if (objectId === undefined) {
      return;
    }
    open.post("Runtime.getProperties", { objectId, ownProperties: true }, (_failed: Error | null, listed?: Runtime.GetPropertiesReturnType) => {
      const location = listed?.internalProperties?.find((property) => property.name === "[[FunctionLocation]]");
      const place = location?.value?.value as { lineNumber: number; columnNumber: number } | undefined;
      found = place === undefined ? undefined : [place.lineNumber, place.columnNumber];
    });
    open.post("Runtime.releaseObject", { objectId });
  });
  return found;
}
