/**
 * Checks what a client was shown, frame by frame: every state equals what the queries return at the timestamp that the
 * server gave for it, Transitions join without a gap, time never goes back, and the last state is the newest.
 *
 * It listens on the client's own socket, below the unmodified client, so it sees what the client sees, compressed or not.
 */

import { WebSocket } from "ws";

import { eventually } from "./server.ts";

/** States that are compared with the server; further ones are only checked for their order. */
const CHECKS_MAX = 2000;
/** Comparisons at the same time. */
const CHECKS_AT_ONCE = 4;

interface Version {
  querySet: number;
  identity: number;
  ts: string;
}

interface Modification {
  type: "QueryUpdated" | "QueryFailed" | "QueryRemoved";
  queryId: number;
  value?: unknown;
}

interface Add {
  type: "Add" | "Remove";
  queryId: number;
  udfPath: string;
  args: unknown[];
}

/** One query of one socket. */
interface Shown {
  path: string;
  args: unknown;
  /** What the client has, as encoded JSON; none while it is loading or has failed. */
  value?: unknown;
}

const INITIAL: Version = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };

export class SubscriptionWatch {
  /** States that were compared with the server, and those that could not be, because the server's memory of them was gone. */
  compared = 0;
  forgotten = 0;
  transitions = 0;
  readonly #url: string;
  readonly #problems: string[] = [];
  /** Newest timestamp of any socket of the client. */
  #newest = 0n;
  #queue: { ts: string; shown: Shown }[] = [];
  #running = 0;
  #last: TappedSocket | undefined;

  /** `url` is the server itself, whatever the client goes through. */
  constructor(url: string) {
    this.#url = url;
  }

  /** What to pass to a client as `webSocketConstructor`. */
  get constructorForClient(): typeof globalThis.WebSocket {
    const track = (socket: TappedSocket): void => {
      this.#last = socket;
    };
    const tap = {
      transition: (socket: TappedSocket, ts: string, changed: Shown[]) => {
        this.#transition(socket, ts, changed);
      },
      problem: (text: string) => this.#problems.push(text),
      opened: track,
    };
    class Tapped extends TappedSocket {
      constructor(address: string | URL) {
        super(address, tap);
      }
    }
    return Tapped as unknown as typeof globalThis.WebSocket;
  }

  #transition(socket: TappedSocket, ts: string, changed: Shown[]): void {
    this.transitions += 1;
    const time = decode(ts);
    if (time < this.#newest) {
      this.#problems.push(`time went back from ${this.#newest} to ${time}`);
    }
    this.#newest = time;
    this.#last = socket;
    for (const shown of changed) {
      if (shown.value !== undefined && this.compared + this.forgotten + this.#queue.length < CHECKS_MAX) {
        this.#queue.push({ ts, shown: { ...shown } });
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
      void this.#compare(check.ts, check.shown).finally(() => {
        this.#running -= 1;
        this.#work();
      });
    }
  }

  async #compare(ts: string, { path, args, value }: Shown): Promise<void> {
    const answer = await this.#ask("query_at_ts", { path, args, ts });
    if (answer?.status !== "success") {
      // A server that was restarted knows the past from the restart on.
      this.forgotten += 1;
      return;
    }
    this.compared += 1;
    const [shown, real] = [canonical(value), canonical(answer.value)];
    if (shown !== real) {
      this.#problems.push(`${path}(${JSON.stringify(args)}) at ${decode(ts)}: the client was shown ${shown}, but it is ${real}`);
    }
  }

  async #ask(endpoint: string, body: unknown): Promise<{ status: string; value: unknown } | undefined> {
    try {
      const response = await fetch(`${this.#url}/api/${endpoint}`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...(body as object), format: "convex_encoded_json" }),
      });
      return response.ok ? ((await response.json()) as { status: string; value: unknown }) : undefined;
    } catch {
      return undefined;
    }
  }

  /** Waits until the client has the newest state of all its queries and every comparison is done; fails with what was wrong. */
  async settled(timeoutMs = 30_000): Promise<void> {
    let differing = "the client has no open socket";
    await eventually(
      "the newest state of every subscription",
      async () => {
        const socket = this.#last;
        if (socket === undefined || this.#running > 0 || this.#queue.length > 0) {
          return undefined;
        }
        for (const { path, args, value } of socket.shown()) {
          const answer = await this.#ask("query", { path, args });
          if (answer === undefined || value === undefined || canonical(answer.value) !== canonical(value)) {
            differing = `${path}: ${canonical(value)} is shown, it is ${canonical(answer?.value)}`;
            return undefined;
          }
        }
        return true;
      },
      timeoutMs,
    ).catch((error: unknown) => {
      this.#problems.push(`${String(error)}; ${differing}`);
    });
    if (this.#problems.length > 0) {
      throw new Error(`${this.#problems.length} problems:\n${this.#problems.slice(0, 5).join("\n").slice(0, 4000)}`);
    }
  }
}

interface Tap {
  transition: (socket: TappedSocket, ts: string, changed: Shown[]) => void;
  problem: (text: string) => void;
  opened: (socket: TappedSocket) => void;
}

class TappedSocket extends WebSocket {
  readonly #tap: Tap;
  readonly #queries = new Map<number, Shown>();
  #version = INITIAL;
  #chunks: string[] = [];

  constructor(address: string | URL, tap: Tap) {
    super(address);
    this.#tap = tap;
    this.on("open", () => {
      tap.opened(this);
    });
    this.on("message", (data: Buffer) => {
      this.#received(data.toString());
    });
  }

  override send(data: unknown, ...rest: unknown[]): void {
    if (typeof data === "string") {
      this.#sent(data);
    }
    (super.send as (...args: unknown[]) => void)(data, ...rest);
  }

  /** The queries that the client has not removed. */
  shown(): Shown[] {
    return [...this.#queries.values()];
  }

  #sent(text: string): void {
    const frame = JSON.parse(text) as { type: string; modifications?: Add[] };
    for (const { type, queryId, udfPath, args } of frame.type === "ModifyQuerySet" ? (frame.modifications ?? []) : []) {
      if (type === "Add") {
        this.#queries.set(queryId, { path: udfPath, args: args[0] ?? {} });
      } else {
        this.#queries.delete(queryId);
      }
    }
  }

  #received(text: string): void {
    let frame = JSON.parse(text) as Record<string, unknown>;
    if (frame.type === "TransitionChunk") {
      this.#chunks.push(String(frame.chunk));
      if (this.#chunks.length < Number(frame.totalParts)) {
        return;
      }
      frame = JSON.parse(this.#chunks.splice(0).join("")) as Record<string, unknown>;
    }
    if (frame.type === "FatalError") {
      this.#tap.problem(`a fatal error: ${text}`);
    }
    if (frame.type !== "Transition") {
      return;
    }
    const [start, end] = [frame.startVersion as Version, frame.endVersion as Version];
    if (JSON.stringify(start) !== JSON.stringify(this.#version)) {
      this.#tap.problem(`a Transition starts at ${JSON.stringify(start)}, the last one ended at ${JSON.stringify(this.#version)}`);
    }
    this.#version = end;
    for (const { type, queryId, value } of frame.modifications as Modification[]) {
      const query = this.#queries.get(queryId);
      if (query !== undefined) {
        query.value = type === "QueryUpdated" ? value : undefined;
      }
    }
    // What is not mentioned is asserted to be as before, so all of it is compared.
    this.#tap.transition(this, end.ts, this.shown());
  }
}

/** Timestamps are little-endian. */
function decode(ts: string): bigint {
  return Buffer.from(ts, "base64").readBigUInt64LE();
}

/** The same text for equal values: in one door `1.0` is written for `1`, in the other keys may be in another order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === "object" && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
