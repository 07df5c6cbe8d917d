/**
 * Checks what clients are shown, frame by frame: every state equals what the queries return at the timestamp that the
 * server gave for it, Transitions join without a gap, time never goes back, and the last state is the newest.
 *
 * It listens below unmodified clients (`WatchedClient`), in the browser (`watchPage`), or between clients and the server
 * (`WatchingProxy`). What it compares
 * with is run for it alone, so that a result that the server should not have kept cannot vouch for itself.
 */

import { WebSocket } from "ws";

import { Conversation, encodeTs, type Shown } from "./conversation.ts";
import { eventually } from "./server.ts";

/** States that are compared with the server; further ones are only checked for their order. */
const CHECKS_MAX = 2000;
/** Comparisons at the same time. */
const CHECKS_AT_ONCE = 4;
/** Longer results are not compared. */
const COMPARED_CHARACTERS_MAX = 1 << 20;

export interface WatchOptions {
  /** Names of fields that are not the same each time a function runs, and are not compared. */
  varying?: string[];
}

interface Answer {
  status: "success" | "error";
  value?: unknown;
  errorMessage?: string;
}

interface Check {
  ts: bigint;
  authorization: string | undefined;
  shown: Shown;
}

export class SubscriptionWatch {
  /** States that were compared with the server, and those that could not be, because the server's memory of them was gone. */
  compared = 0;
  forgotten = 0;
  transitions = 0;
  readonly #url: string;
  readonly #varying: Set<string>;
  readonly #problems: string[] = [];
  /** Newest timestamp of each client, on whichever of its sockets. */
  readonly #newest = new Map<string, bigint>();
  readonly #open = new Set<Conversation>();
  readonly #queue: Check[] = [];
  #running = 0;
  /** Whether all sockets are of one client, which has one as long as it lives. */
  #isOneClient = false;

  /** `url` is the server itself, whatever clients go through. */
  constructor(url: string, { varying = [] }: WatchOptions = {}) {
    this.#url = url;
    this.#varying = new Set(varying);
  }

  /** Listens to one more socket, until `end` is called with what this returns. */
  begin(): Conversation {
    const conversation = new Conversation({
      transition: (from, ts, shown) => {
        this.#transition(from, ts, shown);
      },
      problem: (text) => this.#problems.push(text),
    });
    this.#open.add(conversation);
    return conversation;
  }

  end(conversation: Conversation): void {
    this.#open.delete(conversation);
  }

  /** What to pass to a client as `webSocketConstructor`. */
  get constructorForClient(): typeof globalThis.WebSocket {
    this.#isOneClient = true;
    const begin = (): Conversation => this.begin();
    const end = (conversation: Conversation): void => {
      this.end(conversation);
    };
    class Tapped extends WebSocket {
      readonly #conversation: Conversation;

      constructor(address: string | URL) {
        super(address);
        this.#conversation = begin();
        this.on("message", (data: Buffer) => {
          this.#conversation.received(data.toString());
        });
        this.on("close", () => {
          end(this.#conversation);
        });
      }

      override send(data: unknown, ...rest: unknown[]): void {
        if (typeof data === "string") {
          this.#conversation.sent(data);
        }
        (super.send as (...args: unknown[]) => void)(data, ...rest);
      }
    }
    return Tapped as unknown as typeof globalThis.WebSocket;
  }

  /** Waits until all clients have the newest state of all their queries and every comparison is done; fails with what was wrong. */
  async settled(timeoutMs = 30_000): Promise<void> {
    let behind = "comparisons go on";
    await eventually(
      "the newest state of every subscription",
      async () => {
        if (this.#problems.length > 0) {
          return true;
        }
        if (this.#isOneClient && this.#newest.size > 0 && ![...this.#open].some(({ session }) => session !== undefined)) {
          behind = "the client has no connection";
          return undefined;
        }
        for (const conversation of this.#open) {
          const difference = await this.#difference(conversation);
          if (difference !== undefined) {
            behind = difference;
            return undefined;
          }
        }
        return this.#running === 0 && this.#queue.length === 0 ? true : undefined;
      },
      timeoutMs,
    ).catch((error: unknown) => {
      this.#problems.push(`${String(error)}; ${behind}`);
    });
    if (this.#problems.length > 0) {
      throw new Error(`${this.#problems.length} problems:\n${this.#problems.slice(0, 5).join("\n").slice(0, 4000)}`);
    }
  }

  #transition(conversation: Conversation, ts: bigint, shown: Shown[]): void {
    this.transitions += 1;
    const session = conversation.session ?? "";
    const before = this.#newest.get(session) ?? 0n;
    if (session !== "" && ts < before) {
      this.#problems.push(`time went back from ${before} to ${ts} in another connection`);
    }
    this.#newest.set(session, ts);
    const { authorization } = conversation;
    for (const query of shown) {
      const hasValue = query.state !== undefined && "value" in query.state;
      if (hasValue && query.isOfApp && this.compared + this.forgotten + this.#queue.length < CHECKS_MAX) {
        this.#queue.push({ ts, authorization, shown: { ...query } });
      }
    }
    this.#work();
  }

  #work(): void {
    while (this.#running < CHECKS_AT_ONCE && this.#queue.length > 0) {
      const check = this.#queue.shift();
      if (check === undefined) {
        return;
      }
      this.#running += 1;
      void this.#compare(check).finally(() => {
        this.#running -= 1;
        this.#work();
      });
    }
  }

  async #compare({ ts, authorization, shown }: Check): Promise<void> {
    const answer = await this.#ask("query_at_ts", shown, authorization, { ts: encodeTs(ts) });
    if (answer?.status !== "success") {
      // A server that was restarted knows the past from the restart on; a token may have expired.
      this.forgotten += 1;
      return;
    }
    this.compared += 1;
    const difference = differenceOf(shown, answer, this.#varying);
    if (difference !== undefined) {
      this.#problems.push(`${difference}, at ${ts}`);
    }
  }

  /** Why a client is not up to date, if it is not. */
  async #difference(conversation: Conversation): Promise<string | undefined> {
    if (conversation.ts < conversation.mutatedAt) {
      return `a mutation's result came with ${conversation.mutatedAt}, but no state since ${conversation.ts}`;
    }
    for (const shown of conversation.shown()) {
      if (shown.state === undefined) {
        return `${shown.path} is still loading`;
      }
      if (shown.isOfApp && !("failure" in shown.state && shown.hasJournal)) {
        const answer = await this.#ask("query", shown, conversation.authorization);
        if (answer === undefined) {
          return `${shown.path} is not answered over HTTP`;
        }
        const difference = differenceOf(shown, answer, this.#varying);
        if (difference !== undefined) {
          return difference;
        }
      }
    }
    return undefined;
  }

  async #ask(endpoint: string, shown: Shown, authorization: string | undefined, more: object = {}): Promise<Answer | undefined> {
    const headers: Record<string, string> = { "Content-Type": "application/json", "Cache-Control": "no-cache" };
    if (authorization !== undefined) {
      headers.Authorization = authorization;
    }
    const body = { path: shown.path, args: argsWithEnd(shown), format: "convex_encoded_json", ...more };
    try {
      const response = await fetch(`${this.#url}/api/${endpoint}`, { method: "POST", headers, body: JSON.stringify(body) });
      return response.ok ? ((await response.json()) as Answer) : undefined;
    } catch {
      return undefined;
    }
  }
}

interface PageResult {
  page: unknown;
  continueCursor: string;
}

function pageOf({ state }: Shown): PageResult | undefined {
  const value = state !== undefined && "value" in state ? state.value : undefined;
  return typeof value === "object" && value !== null && "page" in value && "continueCursor" in value ? (value as PageResult) : undefined;
}

/** A live page keeps the end that it had at first; asked alone, that end has to be named. */
function argsWithEnd(shown: Shown): unknown {
  const page = pageOf(shown);
  const args = shown.args as { paginationOpts?: { endCursor?: string | null } };
  if (page === undefined || typeof args.paginationOpts !== "object") {
    return args;
  }
  const endCursor = args.paginationOpts.endCursor ?? page.continueCursor;
  return { ...args, paginationOpts: { ...args.paginationOpts, endCursor } };
}

function differenceOf(shown: Shown, answer: Answer, varying: Set<string>): string | undefined {
  const { path, args, state } = shown;
  let [was, real]: [unknown, unknown] = [state, answer.status === "success" ? { value: answer.value } : { failure: answer.errorMessage }];
  if (pageOf(shown) !== undefined && answer.status === "success") {
    // What is said of splitting depends on how the end was given.
    [was, real] = [pageOf(shown)?.page, (answer.value as PageResult).page];
  }
  const [text, realText] = [canonical(was, varying), canonical(real, varying)];
  if (text === realText || text.length > COMPARED_CHARACTERS_MAX) {
    return undefined;
  }
  return `${path}(${JSON.stringify(args)}): the client was shown ${text.slice(0, 1000)}, but it is ${realText.slice(0, 1000)}`;
}

/** The same text for equal values: in one door `1.0` is written for `1`, in the other keys may be in another order. */
function canonical(value: unknown, varying: Set<string>): string {
  return JSON.stringify(value, (key, inner: unknown) => {
    if (key === "failure") {
      return String(inner).replace(/\[Request ID: [0-9a-f]+\] /, "");
    }
    if (varying.has(key)) {
      return undefined;
    }
    return typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner;
  });
}
