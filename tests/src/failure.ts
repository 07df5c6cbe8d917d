/** What is left of a failure as a client gets it, without the parts that differ from call to call. */

/** The text that the function failed with, without request id and stack; fails if nothing failed. */
export async function failureOf(call: Promise<unknown>): Promise<string> {
  return textOf(await errorOf(call));
}

/** The error itself. */
export async function errorOf(call: Promise<unknown>): Promise<Error> {
  let value: unknown;
  try {
    value = await call;
  } catch (error) {
    if (error instanceof Error) {
      return error;
    }
    throw error;
  }
  const text = JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? `${part}n` : part)) as string | undefined;
  throw new Error(`expected a failure, got ${text ?? "undefined"}`);
}

/** The text of an error without request id and stack. */
export function textOf(error: Error): string {
  return error.message
    .replace(/^\[CONVEX [QMA]\([^)]*\)\] /, "")
    .replace(/^\[Request ID: [0-9a-f]+\] Server Error\n/, "")
    .replace(/^Uncaught (Error|ConvexError): /, "")
    .replace(/\n+ {2}Called by client$/, "")
    .replace(/(\n {4}at .*)+\n*$/, "")
    .trimEnd();
}
