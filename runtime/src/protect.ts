/**
 * Protects ECMAScript's own objects against changes: those of a realm that calls share, and those of the lane itself,
 * which user code reaches through the Web API.
 *
 * They are frozen. `RegExp.prototype` is not, because V8 then leaves its fast paths (`String.prototype.split` takes 30
 * times as long); it is compared instead. Nothing else is slower (measured with Node 20 and 24).
 */

/**
 * What V8 says when code changes something that is protected in a shared realm, and could be changed in one of its own.
 */
export const PROTECTED_CHANGE =
  /^Uncaught TypeError: (?:Cannot (?:assign to read only property|add property|redefine property|delete property|define property)|.* is not extensible)/;

/** What `protect` leaves behind. */
export interface Protection {
  /**
   * Forgets the last match that `RegExp.$1` and its like tell of, and says whether what could not be frozen is as it
   * was.
   */
  isIntact(): boolean;
}

/**
 * Freezes what can be reached from `roots`, except the objects in `spared` and what only they lead to. Objects that inherit
 * from those in `constructed` can be given a `constructor` of their own.
 *
 * It is turned to text and run inside of realms: it must not refer to anything outside its own body.
 */
export function protect(
  roots: readonly unknown[],
  spared: ReadonlySet<unknown>,
  constructed: readonly object[] = [],
): Protection {
  const { ownKeys, getOwnPropertyDescriptor, getPrototypeOf, defineProperty } = Reflect;
  const { freeze } = Object;
  const regExpPrototype = RegExp.prototype;
  const execute = regExpPrototype.exec.bind(/(?:)/);

  // Code without a name of its own, which only syntax and methods lead to.
  const iterable = [1];
  const iteratorFrom = (globalThis as { Iterator?: { from(value: object): object } }).Iterator;
  const iterator = iterable.values() as ArrayIterator<number> & { map?(each: () => number): object };
  const nameless: unknown[] = [
    function* () { yield 1; },
    async function () { await Promise.resolve(); },
    async function* () { await Promise.resolve(); yield 1; },
    iterator,
    iterator.map?.(() => 1),
    iteratorFrom?.from({ next: () => ({ done: true }) }),
    new Map().values(),
    new Set().values(),
    ""[Symbol.iterator](),
    "".matchAll(/x/g),
    new Intl.Segmenter().segment(""),
    new Intl.Segmenter().segment("")[Symbol.iterator](),
  ];

  const found = new Set<object>();
  const pending: unknown[] = [...roots];
  for (const value of nameless) {
    if (value !== undefined) {
      pending.push(typeof value === "function" ? value : getPrototypeOf(value as object));
    }
  }
  while (pending.length > 0) {
    const value = pending.pop();
    if ((typeof value !== "object" || value === null) && typeof value !== "function") {
      continue;
    }
    if (found.has(value) || spared.has(value)) {
      continue;
    }
    found.add(value);
    for (const key of ownKeys(value)) {
      const property = getOwnPropertyDescriptor(value, key);
      pending.push(property?.value, property?.get, property?.set);
    }
    pending.push(getPrototypeOf(value));
  }

  // Where an inherited property is read-only, assigning to an own one of that name fails. Ordinary code does that with
  // these: `this.name = "MyError"`, `Thing.prototype.toString = ...`. An accessor lets it.
  const overridden: [object, readonly PropertyKey[] | undefined][] = [
    [Object.prototype, undefined],
    [Function.prototype, ["bind", "constructor", "toString"]],
    [Array.prototype, ["toString", "toLocaleString"]],
    [Date.prototype, undefined],
  ];
  for (const prototype of constructed) {
    overridden.push([prototype, ["constructor"]]);
  }
  for (const constructor of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError, AggregateError]) {
    overridden.push([constructor.prototype, undefined]);
  }
  for (const [prototype, keys] of overridden) {
    if (!found.has(prototype)) {
      continue;
    }
    for (const key of keys ?? ownKeys(prototype)) {
      const property = getOwnPropertyDescriptor(prototype, key);
      if (property?.writable !== true || !property.configurable) {
        continue;
      }
      const value: unknown = property.value;
      const accessor = {
        // Methods have no `prototype` that would have to be frozen too.
        get(this: object): unknown {
          return value;
        },
        set(this: object, replacement: unknown): void {
          const own = { value: replacement, writable: true, enumerable: true, configurable: true };
          if (this === prototype || !defineProperty(this, key, own)) {
            throw new TypeError(`Cannot assign to read only property '${String(key)}' of object`);
          }
        },
      };
      defineProperty(prototype, key, { ...accessor, enumerable: property.enumerable ?? false, configurable: false });
      freeze(getOwnPropertyDescriptor(prototype, key)?.get);
      freeze(getOwnPropertyDescriptor(prototype, key)?.set);
    }
  }
  for (const object of found) {
    if (object !== regExpPrototype) {
      freeze(object);
    }
  }

  const keys = ownKeys(regExpPrototype);
  const values: [PropertyKey, unknown][] = [];
  const accessors: [PropertyKey, unknown][] = [];
  for (const key of keys) {
    const property = getOwnPropertyDescriptor(regExpPrototype, key);
    if (property?.get === undefined) {
      values.push([key, property?.value]);
    } else {
      accessors.push([key, property.get]);
    }
  }
  const parent = getPrototypeOf(regExpPrototype);
  return {
    isIntact(): boolean {
      execute("");
      if (ownKeys(regExpPrototype).length !== keys.length || getPrototypeOf(regExpPrototype) !== parent) {
        return false;
      }
      for (const [key, value] of values) {
        if ((regExpPrototype as unknown as Record<PropertyKey, unknown>)[key] !== value) {
          return false;
        }
      }
      for (const [key, get] of accessors) {
        if (getOwnPropertyDescriptor(regExpPrototype, key)?.get !== get) {
          return false;
        }
      }
      return true;
    },
  };
}
