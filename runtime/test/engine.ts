/** An engine in miniature, for tests of what runs in a lane: modules from a table, host calls from a function. */

import type { Addon, HostCallFailure } from "../src/addon.ts";
import { type ContextMode, parseInvocation } from "../src/addon.ts";
import { CodeCache } from "../src/modules.ts";
import type { Outcome } from "../src/outcome.ts";
import { type LaneParts, RealmStock, TransactionRun } from "../src/transaction.ts";
import { WarmRealms } from "../src/warm.ts";

export type HostCallReply = { ok: true; text: string } | ({ ok: false } & HostCallFailure);

export function reply(text: string): HostCallReply {
  return { ok: true, text };
}

function refuse(): never {
  throw new Error("not part of this test");
}

export class FakeEngine implements Addon {
  readonly env: Record<string, string> = { SET: "value" };
  context: ContextMode = "fresh";
  version = "1";
  seed = "01";
  #failure: HostCallFailure | null = null;
  readonly modules: Record<string, string>;
  readonly #syscall: (op: string, args: string) => HostCallReply;
  readonly #calls: string[];

  constructor(modules: Record<string, string>, syscall: (op: string, args: string) => HostCallReply, calls: string[] = []) {
    this.modules = modules;
    this.#syscall = syscall;
    this.#calls = calls;
  }

  invocation(modulePath: string, exportName: string): string {
    return `1700000000000 query ${this.context} ${this.version} ${modulePath}:${exportName}\n[{}]`;
  }

  startEngine = refuse;
  stopEngine = refuse;
  laneExited = refuse;
  laneEnter = refuse;
  laneOrderedToEnd = refuse;
  laneCountsArrayBuffers = refuse;
  laneMapStack = (_lane: number, lines: string[]): string[] => lines.map((line) => line.replace("m.js", "m.ts"));
  laneNext = refuse;
  laneTidy = refuse;
  laneNewestCode = (): string | null => null;
  laneImportPhase = (): string => JSON.stringify({ seed: "02".repeat(32), timeMs: 1_600_000_000_000 });
  laneSeed = (): string => this.seed.repeat(32);
  laneModule = (_lane: number, path: string): string | null => this.modules[path] ?? null;
  laneSyscall = (_lane: number, op: string, args: string): string | null => this.#answer(op, args);
  laneSyncSyscall = (_lane: number, op: string, args: string): string | null => this.#answer(op, args);
  laneBeginNested = (_lane: number, args: string): string => {
    this.#calls.push("begin");
    const { name } = JSON.parse(args) as { name: string };
    return this.invocation("m.js", name);
  };
  laneEndNested = (_lane: number, ok: boolean, payload: string): string | null => {
    this.#calls.push("end");
    if (ok) {
      return payload;
    }
    this.#failure = { message: (JSON.parse(payload) as { message: string }).message, catchable: true };
    return null;
  };
  laneFailure = (): HostCallFailure | null => this.#failure;
  laneLog = (_lane: number, level: string, messages: string[]): void => {
    this.#calls.push(`${level} ${messages.join(" ")}`);
  };
  laneEnv = (_lane: number, name: string): string | null => {
    this.#calls.push(`env ${name}`);
    return this.env[name] ?? null;
  };
  laneObservedTime = (): void => undefined;
  laneStartOver = refuse;
  laneFinish = refuse;

  #answer(op: string, args: string): string | null {
    this.#calls.push(op);
    const answer = this.#syscall(op, args);
    if (answer.ok) {
      return answer.text;
    }
    this.#failure = answer;
    return null;
  }
}

export function parts(engine: FakeEngine): LaneParts & { engine: FakeEngine } {
  const cache = new CodeCache();
  return {
    engine,
    lane: 0,
    addon: engine,
    realms: new RealmStock(),
    warmRealms: new WarmRealms(0, engine, cache),
    cache,
    threadIsProtected: false,
  };
}

/** Runs a query as a lane does, again from the start when the lane would do so. */
export async function run(lane: LaneParts & { engine: FakeEngine }, modulePath: string, exportName: string): Promise<Outcome | undefined> {
  const transaction = new TransactionRun(lane);
  transaction.start(parseInvocation(lane.engine.invocation(modulePath, exportName)));
  for (let idle = 0; transaction.outcome === undefined; idle += 1) {
    await new Promise(setImmediate);
    if (transaction.advance() || transaction.held > 0) {
      idle = 0;
    } else if (idle === 5) {
      transaction.giveUp();
    }
  }
  const { outcome } = transaction;
  transaction.close();
  return transaction.mustStartOver ? await run(lane, modulePath, exportName) : outcome;
}

/** A module whose exports are queries with the given bodies; `Convex` is called directly. */
export function queries(bodies: Record<string, string>): string {
  return Object.entries(bodies)
    .map(([name, body]) => `export const ${name} = { invokeQuery: async (args) => JSON.stringify(await (async () => { ${body} })() ?? null) };`)
    .join("\n");
}

