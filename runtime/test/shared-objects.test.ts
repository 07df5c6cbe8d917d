import { describe, expect, it } from "vitest";

import { classesWithPrototypes, SharedObjects } from "../src/shared-objects.ts";
import { SHARED_CLASSES } from "../src/realm.ts";

class Example {
  static kind = "class";
  method(): string {
    return "original";
  }
}

describe("shared objects", () => {
  it("lose what was added and get back what was changed", () => {
    const shared = new SharedObjects(classesWithPrototypes([Example]));
    const original = Object.getOwnPropertyDescriptor(Example.prototype, "method");
    Object.assign(Example, { kind: "changed", added: 1 });
    Example.prototype.method = () => "changed";
    Object.defineProperty(Example.prototype, Symbol.iterator, { value: 1, configurable: true });
    Object.setPrototypeOf(Example.prototype, { inherited: 1 });
    expect(shared.restore()).toBe(true);
    expect([Example.kind, Object.keys(Example), Reflect.ownKeys(Example.prototype)]).toEqual([
      "class",
      ["kind"],
      ["constructor", "method"],
    ]);
    expect(Object.getOwnPropertyDescriptor(Example.prototype, "method")).toEqual(original);
    expect("inherited" in Example.prototype).toBe(false);
  });

  it("say when something cannot be undone", () => {
    const object = {};
    const shared = new SharedObjects([object]);
    Object.defineProperty(object, "forever", { value: 1 });
    expect(shared.restore()).toBe(false);
    const frozen = {};
    const others = new SharedObjects([frozen]);
    Object.preventExtensions(frozen);
    expect(others.restore()).toBe(false);
  });

  it("include prototypes, those without a name too", () => {
    const objects = classesWithPrototypes(Object.values(SHARED_CLASSES));
    for (const object of [URL, URL.prototype, Uint8Array.prototype, Object.getPrototypeOf(Uint8Array.prototype)]) {
      expect(objects.includes(object as object)).toBe(true);
    }
  });
});
