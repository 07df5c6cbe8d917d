/** Work of many kinds whose outcome depends on nothing but its arguments. */

import { queryGeneric as query } from "convex/server";
import { ConvexError, v } from "convex/values";

/** A small generator, so that one number makes a whole call. */
class Numbers {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (Math.imul(this.#state ^ (this.#state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (this.#state ^ (this.#state >>> 13)) >>> 0;
  }

  below(bound: number): number {
    return this.next() % bound;
  }
}

function text(numbers: Numbers): string {
  return Array.from({ length: numbers.below(12) }, () => String.fromCodePoint(97 + numbers.below(700))).join("");
}

type Step = (numbers: Numbers) => unknown;

const STEPS: Step[] = [
  (numbers) => Array.from({ length: 30 }, () => text(numbers)).sort(),
  (numbers) => Array.from({ length: 30 }, () => text(numbers)).sort((one, other) => one.localeCompare(other)),
  (numbers) => Object.fromEntries(Array.from({ length: 20 }, () => [`k${numbers.below(40)}`, numbers.below(100)])),
  (numbers) => [...new Map(Array.from({ length: 20 }, () => [text(numbers), numbers.next()]))].map(([key, value]) => `${key}${value}`),
  (numbers) => [Math.sin(numbers.next()), Math.exp(numbers.below(50) / 7), Math.pow(numbers.below(99), 0.37), Math.hypot(3, numbers.below(9))],
  (numbers) => text(numbers).normalize("NFKD").toUpperCase().replace(/\p{L}/gu, (letter) => `${letter}.`).split("."),
  (numbers) => new Intl.NumberFormat("de-DE", { style: "currency", currency: "EUR" }).format(numbers.next() / 100),
  (numbers) => new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "long" }).format(numbers.next() * 1000),
  (numbers) => new Date(numbers.next() * 500).toString(),
  (numbers) => [...new Uint8Array(new Float64Array([numbers.next() / 3]).buffer)],
  (numbers) => BigInt.asUintN(64, BigInt(numbers.next()) ** 7n),
  (numbers) => btoa(encodeURIComponent(text(numbers))),
  (numbers) => new URL(`http://a.example/${encodeURIComponent(text(numbers))}?q=${numbers.below(9)}`).href,
  (numbers) => JSON.stringify(structuredClone({ a: [numbers.next()], b: new Date(numbers.below(1e9)) })),
  () => [performance.now(), new Event("x").timeStamp, new Date().getTime() === Date.now(), new Intl.DateTimeFormat("en-US").format() === new Intl.DateTimeFormat("en-US").format(Date.now())],
  (numbers) => {
    console.log(text(numbers), { n: numbers.below(9) }, new Error("shown"));
    return null;
  },
  (numbers) => {
    try {
      return (null as unknown as Record<string, number>)[text(numbers)];
    } catch (error) {
      return (error as Error).stack ?? null;
    }
  },
  (numbers) => {
    const seen: string[] = [];
    const held = new WeakRef({ n: numbers.below(5) });
    for (let round = 0; round < 50; round += 1) {
      seen.push(new Array(100).fill(round).join());
    }
    return [seen.length, held.deref()?.n ?? null];
  },
];

export const call = query({
  args: { seed: v.number() },
  handler: async (_ctx, { seed }) => {
    const numbers = new Numbers(seed);
    const results: unknown[] = [];
    for (let step = numbers.below(4); step >= 0; step -= 1) {
      results.push(STEPS[numbers.below(STEPS.length)]?.(numbers));
      await Promise.resolve();
    }
    if (numbers.below(10) === 0) {
      const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(seed)));
      results.push([...new Uint8Array(digest)]);
    }
    switch (numbers.below(12)) {
      case 0:
        throw new Error(`on purpose ${text(numbers)}`);
      case 1:
        throw new ConvexError({ data: text(numbers), n: 7n });
      default:
        return results as never;
    }
  },
});
