/** Functions that try to reach what is not theirs. */

import { queryGeneric as query } from "convex/server";

/** Everything that can be reached from the globals through properties, prototypes and accessors. */
function reachable(): Set<object> {
  const found = new Set<object>();
  const queue: object[] = [globalThis];
  const visit = (value: unknown): void => {
    if (((typeof value === "object" && value !== null) || typeof value === "function") && !found.has(value)) {
      found.add(value);
      queue.push(value);
    }
  };
  for (let object = queue.pop(); object !== undefined && found.size < 100_000; object = queue.pop()) {
    visit(Object.getPrototypeOf(object));
    for (const key of Reflect.ownKeys(object)) {
      const property = Reflect.getOwnPropertyDescriptor(object, key);
      visit(property?.get);
      visit(property?.set);
      if (property !== undefined && "value" in property) {
        visit(property.value);
      } else {
        try {
          const value: unknown = Reflect.get(object, key);
          if (typeof value === "object" && value !== null && "catch" in value) {
            void (value as Promise<unknown>).catch(() => undefined);
          }
          visit(value);
        } catch {
          // Not for this receiver.
        }
      }
    }
  }
  return found;
}

/** Asks every reachable function to make code, and looks for what belongs to Node. */
export const escape = query({
  args: {},
  handler: (): { functions: number; escapes: string[] } => {
    const escapes: string[] = [];
    let functions = 0;
    const inspect = (name: string, value: unknown): void => {
      for (const key of ["binding", "dlopen", "mainModule", "getBuiltinModule", "kill"]) {
        if (typeof value === "object" && value !== null && key in value) {
          escapes.push(`${name}: ${key}`);
        }
      }
    };
    for (const object of reachable()) {
      inspect("object", object);
      if (typeof object !== "function") {
        continue;
      }
      functions += 1;
      for (const maker of [object, (object as unknown as { constructor: unknown }).constructor]) {
        if (typeof maker !== "function" || !/^(?:Async)?(?:Generator)?Function$/.test(maker.name)) {
          continue;
        }
        try {
          const made = (maker as unknown as (code: string) => () => unknown)("return typeof process === 'object' ? process : globalThis");
          inspect(`made by ${maker.name}`, made());
          escapes.push(`${maker.name} makes code`);
        } catch {
          // As it should be.
        }
      }
    }
    for (const thrown of [() => { new URL(""); }, () => { structuredClone(() => 1); }, () => { atob("*"); }]) {
      try {
        thrown();
      } catch (error) {
        try {
          const maker = (error as { constructor: { constructor: (code: string) => () => unknown } }).constructor.constructor;
          inspect("error", maker("return process")());
          escapes.push("an error's class makes code");
        } catch {
          // As it should be.
        }
      }
    }
    return { functions, escapes: [...new Set(escapes)] };
  },
});

/** Writes to every global and every intrinsic. Returns how many writes were not refused. */
export const writeEverywhere = query({
  args: {},
  handler: (): number => {
    let writes = 0;
    for (const object of reachable()) {
      for (const key of ["mark", "toString", "constructor", "then"]) {
        try {
          if (Reflect.set(object, key, "left behind")) {
            writes += 1;
          }
        } catch {
          // Refused.
        }
      }
    }
    return writes;
  },
});

export const pollutePrototypes = query({
  args: {},
  handler: (): null => {
    for (const prototype of [Object.prototype, Array.prototype, Function.prototype, Promise.prototype, String.prototype, Uint8Array.prototype, URL.prototype]) {
      (prototype as unknown as Record<string, unknown>).polluted = true;
    }
    (Object.prototype as unknown as Record<string, unknown>).toJSON = () => "polluted";
    JSON.parse = () => ({ polluted: true });
    return null;
  },
});

export const traces = query({
  args: {},
  handler: (): unknown => ({
    polluted: [{}, [], () => 0, "", new Uint8Array(), new URL("http://a/")].some((value) => "polluted" in Object(value)),
    parsed: JSON.parse('{"a":1}') as unknown,
    text: JSON.stringify({ a: 1 }),
    mark: [Object, Array, URL, Uint8Array, Promise, globalThis].some((value) => Object.hasOwn(value, "mark")),
  }),
});
