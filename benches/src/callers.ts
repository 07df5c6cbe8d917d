/** Clients that call one function after another for as long as they are let, and what they noticed. */

export interface Noticed {
  calls: number;
  failed: number;
  firstError: string | undefined;
  /** Milliseconds of each call. */
  latencies: number[];
}

export class Callers {
  readonly #stop = new AbortController();
  readonly #loops: Promise<void>[];
  #noticed: Noticed = { calls: 0, failed: 0, firstError: undefined, latencies: [] };

  /** Starts one loop for each of the calls. A call fails by throwing. */
  constructor(calls: (() => Promise<void>)[]) {
    this.#loops = calls.map(async (call) => {
      while (!this.#stop.signal.aborted) {
        const start = performance.now();
        const noticed = this.#noticed;
        try {
          await call();
        } catch (error) {
          noticed.failed += 1;
          noticed.firstError ??= String(error);
        }
        noticed.calls += 1;
        // A loop has one call open at a time, so that a gap between its answers is the time of a call.
        noticed.latencies.push(performance.now() - start);
      }
    });
  }

  /** What was noticed since this was asked last. */
  take(): Noticed {
    const noticed = this.#noticed;
    this.#noticed = { calls: 0, failed: 0, firstError: undefined, latencies: [] };
    return noticed;
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#loops);
  }
}

/** A call over HTTP that fails unless the function succeeds. */
export function httpCall(url: string, kind: "query" | "mutation" | "action", path: string, args: () => object): () => Promise<void> {
  return async () => {
    const response = await fetch(`${url}/api/${kind}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ path, args: args() }),
    });
    const text = await response.text();
    if (!text.startsWith('{"status":"success"')) {
      throw new Error(`${response.status} ${text.slice(0, 300)}`);
    }
  };
}
