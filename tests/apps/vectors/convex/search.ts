/** The search that actions of both runtimes make. */

import type { Value } from "convex/values";

export interface Search {
  table?: string;
  index?: string;
  vector: number[];
  limit?: number;
  /** Alternatives: fields and their values; without a value, undefined. */
  filter?: ([string, Value] | [string])[];
}

export interface Hit {
  _id: string;
  _score: number;
}

interface FilterBuilder {
  eq(field: string, value: Value | undefined): unknown;
  or(...alternatives: unknown[]): unknown;
}

export async function nearest(ctx: { vectorSearch: unknown }, { table, index, vector, limit, filter }: Search): Promise<Hit[]> {
  const vectorSearch = ctx.vectorSearch as (table: string, index: string, query: object) => Promise<Hit[]>;
  const conditions = (q: FilterBuilder): unknown => {
    const alternatives = (filter ?? []).map(([field, value]) => q.eq(field, value));
    return alternatives.length === 1 ? alternatives[0] : q.or(...alternatives);
  };
  return await vectorSearch(table ?? "items", index ?? "by_embedding", { vector, ...(limit === undefined ? {} : { limit }), ...(filter === undefined ? {} : { filter: conditions }) });
}
