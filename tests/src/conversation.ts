/**
 * What the frames of one WebSocket say, both ways: which queries the client has, what it was shown of them and when, and
 * whether the server keeps the rules that frames have among themselves. It only listens, and never asks a server.
 */

const INITIAL: Version = { querySet: 0, identity: 0, ts: "AAAAAAAAAAA=" };

interface Version {
  querySet: number;
  identity: number;
  ts: string;
}

/** One query of a client. */
export interface Shown {
  path: string;
  args: unknown;
  /** Whether it is a function of the app itself, which the HTTP API can run. */
  isOfApp: boolean;
  /** Whether the client brought a journal along, which may be the reason of a failure. */
  hasJournal: boolean;
  /** What the client has: encoded JSON, an error's text, or nothing yet. */
  state: { value: unknown } | { failure: string } | undefined;
}

/** What a conversation reports. */
export interface Listener {
  /** A Transition came: the client has `shown` at `ts`, seen by who `authorization` says. */
  transition: (conversation: Conversation, ts: bigint, shown: Shown[]) => void;
  problem: (text: string) => void;
}

type Frame = Record<string, unknown> & { type: string };

export class Conversation {
  /** The client's name for itself, which it keeps over reconnects. */
  session: string | undefined;
  /** The newest commit of a mutation that the client was told of. */
  mutatedAt = 0n;
  readonly #listener: Listener;
  readonly #queries = new Map<number, Shown>();
  /** For each identity version, the header that makes the same identity over HTTP. */
  readonly #authorizations = new Map<number, string | undefined>([[0, undefined]]);
  #version = INITIAL;
  #chunks: string[] = [];

  constructor(listener: Listener) {
    this.#listener = listener;
  }

  /** When the client's state was true. */
  get ts(): bigint {
    return decodeTs(this.#version.ts);
  }

  /** The value of an `Authorization` header for whom the client's state was computed. */
  get authorization(): string | undefined {
    return this.#authorizations.get(this.#version.identity);
  }

  /** The queries that the client has not removed. */
  shown(): Shown[] {
    return [...this.#queries.values()];
  }

  /** A text frame of the client. */
  sent(text: string): void {
    const frame = JSON.parse(text) as Frame;
    if (frame.type === "Connect") {
      this.session = String(frame.sessionId);
    } else if (frame.type === "Authenticate") {
      this.#authorizations.set(Number(frame.baseVersion) + 1, authorizationOf(frame));
    } else if (frame.type === "ModifyQuerySet") {
      for (const change of frame.modifications as Frame[]) {
        const queryId = Number(change.queryId);
        if (change.type === "Add") {
          const args = (change.args as unknown[])[0] ?? {};
          this.#queries.set(queryId, {
            path: String(change.udfPath),
            args,
            isOfApp: (change.componentPath ?? null) === null,
            hasJournal: (change.journal ?? null) !== null,
            state: undefined,
          });
        } else {
          this.#queries.delete(queryId);
        }
      }
    }
  }

  /** A text frame of the server. */
  received(text: string): void {
    let frame = JSON.parse(text) as Frame;
    if (frame.type === "TransitionChunk") {
      this.#chunks.push(String(frame.chunk));
      if (this.#chunks.length < Number(frame.totalParts)) {
        return;
      }
      frame = JSON.parse(this.#chunks.splice(0).join("")) as Frame;
    }
    if (frame.type === "FatalError") {
      this.#listener.problem(`a fatal error: ${text}`);
    } else if (frame.type === "MutationResponse" && frame.success === true) {
      const ts = decodeTs(String(frame.ts));
      this.mutatedAt = ts > this.mutatedAt ? ts : this.mutatedAt;
    } else if (frame.type === "Transition") {
      this.#transition(frame);
    }
  }

  #transition(frame: Frame): void {
    const [start, end] = [frame.startVersion as Version, frame.endVersion as Version];
    if (JSON.stringify(start) !== JSON.stringify(this.#version)) {
      this.#listener.problem(`a Transition starts at ${JSON.stringify(start)}, the last one ended at ${JSON.stringify(this.#version)}`);
    }
    if (decodeTs(end.ts) < this.ts) {
      this.#listener.problem(`time went back from ${this.ts} to ${decodeTs(end.ts)}`);
    }
    this.#version = end;
    for (const { type, queryId, value, errorMessage } of frame.modifications as Frame[]) {
      const query = this.#queries.get(Number(queryId));
      if (query !== undefined) {
        query.state = type === "QueryUpdated" ? { value } : type === "QueryFailed" ? { failure: String(errorMessage) } : undefined;
      }
    }
    // What is not mentioned is asserted to be as before, so all of it was shown.
    this.#listener.transition(this, this.ts, this.shown());
  }
}

function authorizationOf(frame: Frame): string | undefined {
  if (frame.tokenType === "User") {
    return `Bearer ${String(frame.value)}`;
  }
  if (frame.tokenType !== "Admin") {
    return undefined;
  }
  // The Rust client has another name for it.
  const impersonated = frame.impersonating ?? frame.acting_as;
  const user = impersonated === undefined ? "" : `:${Buffer.from(JSON.stringify(impersonated)).toString("base64")}`;
  return `Convex ${String(frame.value)}${user}`;
}

/** Timestamps are little-endian. */
function decodeTs(ts: string): bigint {
  return Buffer.from(ts, "base64").readBigUInt64LE();
}

/** A timestamp as frames and the HTTP API write it. */
export function encodeTs(ts: bigint): string {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(ts);
  return bytes.toString("base64");
}
