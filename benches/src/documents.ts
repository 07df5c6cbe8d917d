/** Loads the app of `benches/apps/documents` through its public functions, thousands of documents in a transaction. */

import type { FreshetServer } from "../../tests/src/server.ts";

/** Documents of one transaction; far below its limits, also in time. */
const BATCH = 4000;
/** Transactions at a time: one is decoded and run while another is written. */
const PARALLEL = 3;

/** Adds documents with the numbers from `first` to below `end`. Returns the ids of every `step`th. */
export async function loadDocuments(server: FreshetServer, first: number, end: number, step: number): Promise<string[]> {
  const ids: string[] = [];
  let next = first;
  const work = async (): Promise<void> => {
    while (next < end) {
      const batch = next;
      next = Math.min(batch + BATCH, end);
      const found = await call(server, "mutation", "documents:load", { first: batch, count: Math.min(BATCH, end - batch), step });
      ids.push(...(found as string[]));
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, work));
  return ids;
}

/** Calls a function over HTTP, for what is not measured. */
export async function call(server: FreshetServer, kind: "query" | "mutation", path: string, args: unknown): Promise<unknown> {
  const response = await fetch(`${server.url}/api/${kind}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ path, args }),
  });
  const answer = (await response.json()) as { status: string; value?: unknown; errorMessage?: string };
  if (answer.status !== "success") {
    throw new Error(`${path}: ${answer.errorMessage ?? response.status}`);
  }
  return answer.value;
}
