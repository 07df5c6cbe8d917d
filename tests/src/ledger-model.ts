/**
 * What the rows of `apps/data/convex/history.ts` must be: plain maps, one state for each commit. Transactions are run again on
 * the states, one after the other in the order of their commits, and must have the answers that clients were given.
 */

import type { Choice, PlainStep, Row, Step } from "../apps/data/convex/history.ts";

/** A mutation that a client was answered. */
export interface Transaction {
  steps: Step[];
  answers: unknown[];
  snapshot: bigint;
  commit: bigint;
  /** The newest commit of which any client knew when this was sent. */
  known: bigint;
}

/** A query that a client was answered. */
export interface Look {
  choices: Choice[];
  answers: Row[][];
  snapshot: bigint;
  known: bigint;
}

type State = ReadonlyMap<string, Row>;

/** The rows of a choice, in its order. */
export function choose(state: State, { group, from, below, order, even, take }: Choice): Row[] {
  const rows = [...state.values()].filter(
    (row) => (group === undefined || row.group === group) && row.n >= (from ?? -Infinity) && row.n < (below ?? Infinity),
  );
  rows.sort((a, b) => a.n - b.n || a._creationTime - b._creationTime || (a._id < b._id ? -1 : 1));
  if (order === "desc") {
    rows.reverse();
  }
  // To the bit: the remainder of -2 is -0, which equals no 0.
  return rows.filter((row) => even === undefined || Object.is(row.n % 2, even ? 0 : 1)).slice(0, take ?? rows.length);
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

/** The same fields in the same order, whoever made the row. */
function row({ _id, _creationTime, group, n }: Row): Row {
  return { _id, _creationTime, group, n };
}

export class LedgerModel {
  /** States after each commit, oldest first. */
  readonly #states: { commit: bigint; state: State }[] = [{ commit: 0n, state: new Map() }];

  /** Runs all of it again; fails with the first answer that no serial execution has. */
  replay(transactions: Transaction[]): void {
    // One that wrote nothing counts at its snapshot: behind the commit that made it.
    const reads = (one: Transaction): number => Number(one.commit === one.snapshot);
    const ordered = transactions.toSorted((a, b) => (a.commit < b.commit ? -1 : a.commit > b.commit ? 1 : reads(a) - reads(b)));
    for (const [at, one] of ordered.entries()) {
      const before = ordered[at - 1];
      if (before?.commit === one.commit && reads(one) === 0) {
        throw new Error(`two transactions committed at ${one.commit}`);
      }
      if (one.commit < one.known || one.snapshot > one.commit) {
        throw new Error(`a transaction committed at ${one.commit} with the snapshot ${one.snapshot}, after a client knew of ${one.known}`);
      }
      const state = new Map(this.#newest().state);
      for (const [number, step] of one.steps.entries()) {
        const wrong = this.#wrong(state, step, one.answers[number], one.snapshot);
        if (wrong !== undefined) {
          throw new Error(`step ${number} of ${JSON.stringify(one, text)}\n${wrong}`);
        }
      }
      this.#states.push({ commit: one.commit, state });
    }
  }

  /** Checks what a query saw: the state at its snapshot, and no older one than a client knew of. */
  check(look: Look): void {
    const answers = (state: State): unknown[] => look.choices.map((choice) => choose(state, choice));
    const seen = look.answers.map((rows) => rows.map(row));
    if (!same(seen, answers(this.#at(look.snapshot)))) {
      throw new Error(`${JSON.stringify(look, text)}\nis not the state at its snapshot: ${JSON.stringify(answers(this.#at(look.snapshot)))}`);
    }
    // An answer that was kept may have been made before; it must still be right.
    const since = this.#states.findLastIndex(({ commit }) => commit <= look.known);
    if (!this.#states.slice(since).some(({ state }) => same(seen, answers(state)))) {
      throw new Error(`${JSON.stringify(look, text)}\nwas the state at no moment since ${look.known}`);
    }
  }

  /** All rows in the end. */
  rows(): Row[] {
    return choose(this.#newest().state, { order: "asc" });
  }

  #newest(): { commit: bigint; state: State } {
    return this.#states.at(-1) ?? { commit: 0n, state: new Map() };
  }

  #at(snapshot: bigint): State {
    return this.#states.findLast(({ commit }) => commit <= snapshot)?.state ?? new Map<string, Row>();
  }

  /** Takes a step; says what is wrong with the answer. */
  #wrong(state: Map<string, Row>, step: Step, answer: unknown, snapshot: bigint): string | undefined {
    if (step.do === "stale") {
      return differ(answer, choose(this.#at(snapshot), step.rows));
    }
    if (step.do !== "nested") {
      return plain(state, step, answer);
    }
    if (step.fails) {
      return answer === null ? undefined : `a nested call that fails has the answer ${JSON.stringify(answer)}`;
    }
    if (!Array.isArray(answer)) {
      return "a nested call failed";
    }
    const wrong = step.steps.map((inner, number) => plain(state, inner, answer[number]));
    return wrong.find((problem) => problem !== undefined);
  }
}

function plain(state: Map<string, Row>, step: PlainStep, answer: unknown): string | undefined {
  if (step.do === "read") {
    return differ(answer, choose(state, step.rows));
  }
  if (step.do === "count") {
    return answer === state.size ? undefined : `counted ${String(answer)} rows of ${state.size}`;
  }
  if (step.do === "insert") {
    const made = answer as Row;
    if (state.has(made._id) || made.group !== step.group || made.n !== step.n) {
      return `inserted ${JSON.stringify(made)}`;
    }
    state.set(made._id, row(made));
    return undefined;
  }
  const rows = choose(state, step.rows);
  for (const old of rows) {
    switch (step.do) {
      case "add":
        state.set(old._id, { ...old, n: old.n + step.n });
        break;
      case "move":
        state.set(old._id, { ...old, group: step.group });
        break;
      case "replace":
        state.set(old._id, { ...old, group: step.group, n: step.n });
        break;
      case "remove":
        state.delete(old._id);
        break;
    }
  }
  return differ(answer, rows);
}

function differ(answer: unknown, rows: Row[]): string | undefined {
  const seen = Array.isArray(answer) ? (answer as Row[]).map(row) : answer;
  return same(seen, rows) ? undefined : `the answer is ${JSON.stringify(seen)}, not ${JSON.stringify(rows)}`;
}

function text(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}
