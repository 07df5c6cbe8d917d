/**
 * Puts back objects that all realms of a thread share as they were: the Web API's classes and binary types with their
 * prototypes. What one call adds to them or changes on them must not be there for the next.
 *
 * They cannot be frozen: common packages assign methods to objects that inherit from `Uint8Array.prototype`, which
 * fails where the inherited property is read-only. Checking them takes 0.14 ms (measured for all shared classes on a busy
 * machine), a seventh of what the context of the next call costs; it happens when the caller already has the answer.
 */

interface Remembered {
  object: object;
  prototype: object | null;
  properties: ReadonlyMap<string | symbol, PropertyDescriptor>;
}

export class SharedObjects {
  readonly #remembered: Remembered[];

  constructor(objects: Iterable<object>) {
    this.#remembered = [...objects].map((object) => {
      const keys = Reflect.ownKeys(object);
      return {
        object,
        prototype: Reflect.getPrototypeOf(object),
        properties: new Map(keys.map((key) => [key, Reflect.getOwnPropertyDescriptor(object, key) ?? {}])),
      };
    });
  }

  /** Undoes every change. False when something cannot be undone. */
  restore(): boolean {
    return this.#remembered.every((remembered) => restoreOne(remembered));
  }
}

function restoreOne({ object, prototype, properties }: Remembered): boolean {
  let isRestored = true;
  for (const [key, known] of properties) {
    const present = Reflect.getOwnPropertyDescriptor(object, key);
    if (present === undefined || !isSame(present, known)) {
      isRestored = Reflect.defineProperty(object, key, known) && isRestored;
    }
  }
  const present = Reflect.ownKeys(object);
  if (present.length !== properties.size) {
    for (const key of present) {
      isRestored = (properties.has(key) || Reflect.deleteProperty(object, key)) && isRestored;
    }
  }
  return Reflect.setPrototypeOf(object, prototype) && Reflect.isExtensible(object) && isRestored;
}

function isSame(one: PropertyDescriptor, other: PropertyDescriptor): boolean {
  return (
    Object.is(one.value, other.value) &&
    one.get === other.get &&
    one.set === other.set &&
    one.writable === other.writable &&
    one.enumerable === other.enumerable &&
    one.configurable === other.configurable
  );
}

/** Classes and the prototypes of their instances. */
export function classesWithPrototypes(classes: Iterable<unknown>): object[] {
  const found = new Set<object>();
  for (const value of classes) {
    if (typeof value === "function") {
      found.add(value);
      const prototype: unknown = value.prototype;
      if (typeof prototype === "object" && prototype !== null) {
        found.add(prototype);
        const parent = Reflect.getPrototypeOf(prototype);
        // `%TypedArray%` and the like have no name of their own.
        if (parent !== null && parent !== Object.prototype && parent !== Error.prototype) {
          found.add(parent);
        }
      }
    }
  }
  return [...found];
}
