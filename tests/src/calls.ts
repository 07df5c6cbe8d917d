/** Calls of functions by their names, for apps whose generated types say nothing. */

import { ConvexHttpClient } from "convex/browser";
import { makeFunctionReference } from "convex/server";
import type { Value } from "convex/values";

import type { FreshetServer } from "./server.ts";

type Args = Record<string, Value | undefined>;

/** What `documents:page` tells of a row. */
export interface Row {
  id: string;
  time: number;
  n: number;
  group: string;
  rank?: number;
}

export class Calls {
  readonly #client: ConvexHttpClient;

  constructor(server: Pick<FreshetServer, "url">) {
    this.#client = new ConvexHttpClient(server.url, { logger: false });
  }

  async query<T>(name: string, args: Args = {}): Promise<T> {
    return (await this.#client.query(makeFunctionReference<"query", Args>(name), args)) as T;
  }

  /** Does not queue behind earlier mutations of this client. */
  async mutation<T = unknown>(name: string, args: Args = {}): Promise<T> {
    return (await this.#client.mutation(makeFunctionReference<"mutation", Args>(name), args, { skipQueue: true })) as T;
  }

  async action<T = unknown>(name: string, args: Args = {}): Promise<T> {
    return (await this.#client.action(makeFunctionReference<"action", Args>(name), args)) as T;
  }

  /** The text of the error that a call fails with. */
  async failure(call: Promise<unknown>): Promise<string> {
    try {
      await call;
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error("the call succeeded");
  }

  /** A whole table in the order of an index, a few thousand documents at a time. */
  async allRows(source: { table: string; index?: string; order?: "asc" | "desc" }): Promise<Row[]> {
    const rows: Row[] = [];
    let cursor: string | null = null;
    for (;;) {
      const page: { rows: Row[]; isDone: boolean; continueCursor: string } = await this.query("documents:page", { ...source, cursor, numItems: 2000 });
      rows.push(...page.rows);
      if (page.isDone) {
        return rows;
      }
      cursor = page.continueCursor;
    }
  }
}
