/**
 * Formats values for console lines, in the form that the clients of the protocol show: single-quoted strings, objects
 * always on several lines, two spaces of indentation, at most five levels.
 */

const STRING_LENGTH_MAX = 32_768;
const DEPTH_MAX = 5;
/** Entries shown of one container; a console line is cut at 32 KiB anyway. */
const ENTRIES_MAX = 10_000;
/** Stops formatting hostile or huge graphs long before they cost noticeable time. */
const OUTPUT_LENGTH_MAX = 200_000;

const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

export function inspect(value: unknown): string {
  return new Inspector().format(value, 0);
}

class Inspector {
  readonly #open: unknown[] = [];
  #length = 0;

  format(value: unknown, depth: number): string {
    const text = this.#format(value, depth);
    this.#length += text.length;
    return text;
  }

  #format(value: unknown, depth: number): string {
    switch (typeof value) {
      case "string":
        return quote(value);
      case "number":
        return Object.is(value, -0) ? "-0" : String(value);
      case "bigint":
        return `${String(value)}n`;
      case "boolean":
      case "undefined":
        return String(value);
      case "symbol":
        return value.toString();
      case "function":
        return describeFunction(value);
      case "object":
        return value === null ? "null" : this.#formatObject(value, depth);
    }
  }

  #formatObject(value: object, depth: number): string {
    if (this.#open.includes(value)) {
      return "[Circular]";
    }
    if (this.#length > OUTPUT_LENGTH_MAX) {
      return "[...]";
    }
    // User code decides what a getter or a proxy does; a console call must not fail because of it.
    try {
      if (depth > DEPTH_MAX) {
        return Array.isArray(value) ? "[Array]" : "[Object]";
      }
      this.#open.push(value);
      try {
        return this.#formatOpen(value, depth);
      } finally {
        this.#open.pop();
      }
    } catch {
      return "[Object]";
    }
  }

  #formatOpen(value: object, depth: number): string {
    if (Array.isArray(value)) {
      return this.#formatArray(value, depth);
    }
    switch (Object.prototype.toString.call(value)) {
      case "[object Error]":
        return describeError(value as Error);
      case "[object Date]":
        return Date.prototype.toString.call(value);
      case "[object RegExp]":
        return RegExp.prototype.toString.call(value);
      case "[object Map]":
        return this.#formatEntries(
          "Map",
          [...Map.prototype.entries.call(value)].map(
            ([key, item]) => `${this.format(key, depth + 1)} => ${this.format(item, depth + 1)}`,
          ),
          depth,
        );
      case "[object Set]":
        return this.#formatEntries(
          "Set",
          [...Set.prototype.values.call(value)].map((item) => this.format(item, depth + 1)),
          depth,
        );
      case "[object Number]":
      case "[object String]":
      case "[object Boolean]":
        return `Object(${this.format((value as { valueOf(): unknown }).valueOf(), depth)})`;
      case "[object WeakMap]":
        return "WeakMap { ? }";
      case "[object WeakSet]":
        return "WeakSet { ? }";
      case "[object Promise]":
        return "Promise {}";
      default:
        return this.#formatPlain(value, depth);
    }
  }

  #formatArray(items: unknown[], depth: number): string {
    if (items.length === 0) {
      return "[]";
    }
    const shown = items.slice(0, ENTRIES_MAX).map((item) => this.format(item, depth + 1));
    if (items.length > ENTRIES_MAX) {
      shown.push(`... ${items.length - ENTRIES_MAX} more items`);
    }
    if (shown.some((text) => text.includes("\n"))) {
      return `[\n${shown.map((text) => indent(depth + 1) + text).join(",\n")}\n${indent(depth)}]`;
    }
    return `[ ${shown.join(", ")} ]`;
  }

  #formatEntries(name: string, entries: string[], depth: number): string {
    const head = `${name} (${entries.length})`;
    if (entries.length === 0) {
      return `${head} {}`;
    }
    return `${head} {${this.#block(entries.slice(0, ENTRIES_MAX), depth)}}`;
  }

  #formatPlain(value: object, depth: number): string {
    const keys = Object.keys(value).slice(0, ENTRIES_MAX);
    const fields = keys.map((key) => {
      const name = IDENTIFIER.test(key) ? key : quote(key);
      return `${name}: ${this.format((value as Record<string, unknown>)[key], depth + 1)}`;
    });
    const prefix = constructorPrefix(value);
    if (fields.length === 0) {
      return `${prefix}{}`;
    }
    return `${prefix}{${this.#block(fields, depth)}}`;
  }

  #block(lines: string[], depth: number): string {
    return `\n${lines.map((line) => indent(depth + 1) + line).join(",\n")}\n${indent(depth)}`;
  }
}

function indent(depth: number): string {
  return "  ".repeat(depth);
}

function quote(text: string): string {
  const cut = text.length > STRING_LENGTH_MAX ? text.slice(0, STRING_LENGTH_MAX) : text;
  const escaped = cut
    .replace(/[\\']/g, (character) => `\\${character}`)
    // eslint-disable-next-line no-control-regex -- control characters are what is escaped here
    .replace(/[\u0000-\u001f]/g, (character) => {
      const named = { "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t" }[character];
      return named ?? `\\x${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
    });
  const rest = text.length - cut.length;
  const more = rest === 0 ? "" : `... ${rest} more character${rest === 1 ? "" : "s"}`;
  return `'${escaped}'${more}`;
}

function describeFunction(value: unknown): string {
  try {
    const name: unknown = (value as { name?: unknown }).name;
    return typeof name === "string" && name !== "" ? `[Function: ${name}]` : "[Function (anonymous)]";
  } catch {
    return "[Function (anonymous)]";
  }
}

function describeError(error: Error): string {
  return `[${Error.prototype.toString.call(error)}]`;
}

function constructorPrefix(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype === null) {
    return "[Object: null prototype] ";
  }
  const constructor: unknown = (prototype as { constructor?: unknown }).constructor;
  const name = typeof constructor === "function" ? constructor.name : "";
  return name === "" || name === "Object" ? "" : `${name} `;
}
