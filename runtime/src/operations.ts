/** The host calls, requests and transfers that one action has begun and not ended. Decides nothing about when they end. */

/** Where the documentation speaks of what an action does not wait for. */
const HELP = "See https://docs.convex.dev/functions/actions#dangling-promises for more information.";

export class Operations {
  readonly #kinds = new Map<number, string>();
  #next = 1;

  get size(): number {
    return this.#kinds.size;
  }

  /** Notes one, by the word that users know it by. The returned function is to be called when it has ended. */
  begin(kind: string): () => void {
    const number = this.#next;
    this.#next += 1;
    this.#kinds.set(number, kind);
    return () => {
      this.#kinds.delete(number);
    };
  }

  /** What to tell the author of an action that ends while they are under way. */
  warning(): string | undefined {
    if (this.#kinds.size === 0) {
      return undefined;
    }
    const noun = this.#kinds.size === 1 ? "operation" : "operations";
    const kinds = [...new Set(this.#kinds.values())].join(", ");
    return `${this.#kinds.size} unawaited ${noun}: [${kinds}]. Async operations should be awaited or they might not run. ${HELP}`;
  }
}

/** The word by which users know a host call. */
export function operationKind(op: string): string {
  const name = op.split("/").pop() ?? op;
  return { schedule: "scheduler", cancel_job: "scheduler", storeBlob: "storage.store", getBlob: "storage.get" }[name] ?? name;
}
