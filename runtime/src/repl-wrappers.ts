/**
 * What a one-off query imports as `convex:/_system/repl/wrappers.js`: `query` and `internalQuery`, with the `ctx` that the
 * app's own queries have. One-off queries are not bundled, so they cannot bring the client package with them.
 *
 * Runs inside of a realm: it must not import anything, and knows the engine only by its host calls. Checks what would
 * otherwise be mistaken for something else; wrong names and values are the engine's to refuse.
 */

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type Expression = Json;

interface HostCalls {
  syscall(op: string, args: string): string;
  asyncSyscall(op: string, args: string): Promise<string>;
}

const host = (globalThis as unknown as { Convex: HostCalls }).Convex;

function call(op: string, args: Json): Json {
  return JSON.parse(host.syscall(op, JSON.stringify(args))) as Json;
}

async function callAsync(op: string, args: Json): Promise<Json> {
  return JSON.parse(await host.asyncSyscall(op, JSON.stringify(args))) as Json;
}

// Values.

function bytesOf(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function base64Of(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += String.fromCharCode(byte);
  }
  return btoa(text);
}

function eightBytes(write: (view: DataView) => void): string {
  const bytes = new Uint8Array(8);
  write(new DataView(bytes.buffer));
  return base64Of(bytes);
}

function viewOf(base64: string): DataView {
  return new DataView(bytesOf(base64).buffer);
}

function decode(json: Json): unknown {
  if (Array.isArray(json)) {
    return json.map(decode);
  }
  if (typeof json !== "object" || json === null) {
    return json;
  }
  const { $integer, $float, $bytes } = json;
  if (typeof $integer === "string") {
    return viewOf($integer).getBigInt64(0, true);
  }
  if (typeof $float === "string") {
    return viewOf($float).getFloat64(0, true);
  }
  if (typeof $bytes === "string") {
    return bytesOf($bytes).buffer;
  }
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [name, decode(value)]));
}

function encode(value: unknown): Json {
  switch (typeof value) {
    case "boolean":
    case "string":
      return value;
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0)
        ? value
        : { $float: eightBytes((view) => { view.setFloat64(0, value, true); }) };
    case "bigint":
      if (BigInt.asIntN(64, value) !== value) {
        throw new Error(`BigInt ${String(value)} does not fit into a 64-bit signed integer.`);
      }
      return { $integer: eightBytes((view) => { view.setBigInt64(0, value, true); }) };
    case "object":
      return value === null ? null : encodeObject(value);
    case "undefined":
    case "symbol":
    case "function":
      throw new Error(`${value === undefined ? "undefined" : `A ${typeof value}`} is not a valid Convex value.`);
  }
}

function encodeObject(value: object): Json {
  if (value instanceof ArrayBuffer) {
    return { $bytes: base64Of(new Uint8Array(value)) };
  }
  if (Array.isArray(value)) {
    return value.map(encode);
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) {
    throw new Error(`An object of class ${value.constructor.name} is not a valid Convex value. Convert it to a plain object.`);
  }
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return Object.fromEntries(fields.map(([name, field]) => [name, encode(field)]));
}

function encodeOrUndefined(value: unknown): Json {
  return value === undefined ? { $undefined: null } : encode(value);
}

// Filters.

class Expr {
  readonly json: Expression;

  constructor(json: Expression) {
    this.json = json;
  }
}

function operand(value: unknown): Expression {
  return value instanceof Expr ? value.json : { $literal: encodeOrUndefined(value) };
}

const binary = (op: string) => (left: unknown, right: unknown) => new Expr({ [op]: [operand(left), operand(right)] });
const unary = (op: string) => (value: unknown) => new Expr({ [op]: operand(value) });
const variadic = (op: string) => (...values: unknown[]) => new Expr({ [op]: values.map(operand) });

const FILTERS = {
  eq: binary("$eq"),
  neq: binary("$neq"),
  lt: binary("$lt"),
  lte: binary("$lte"),
  gt: binary("$gt"),
  gte: binary("$gte"),
  add: binary("$add"),
  sub: binary("$sub"),
  mul: binary("$mul"),
  div: binary("$div"),
  mod: binary("$mod"),
  neg: unary("$neg"),
  not: unary("$not"),
  and: variadic("$and"),
  or: variadic("$or"),
  field: (path: string) => new Expr({ $field: path }),
};

/** Collects the conditions of an index range or of a search. */
class Conditions {
  readonly list: Json[];

  constructor(list: Json[] = []) {
    this.list = list;
  }

  #with(type: string, fieldPath: string, value: Json): Conditions {
    return new Conditions([...this.list, { type, fieldPath, value }]);
  }

  eq(field: string, value: unknown): Conditions {
    return this.#with("Eq", field, encodeOrUndefined(value));
  }

  gt(field: string, value: unknown): Conditions {
    return this.#with("Gt", field, encodeOrUndefined(value));
  }

  gte(field: string, value: unknown): Conditions {
    return this.#with("Gte", field, encodeOrUndefined(value));
  }

  lt(field: string, value: unknown): Conditions {
    return this.#with("Lt", field, encodeOrUndefined(value));
  }

  lte(field: string, value: unknown): Conditions {
    return this.#with("Lte", field, encodeOrUndefined(value));
  }

  search(field: string, text: string): Conditions {
    return this.#with("Search", field, text);
  }
}

// Queries.

interface PaginationOptions {
  numItems: number;
  cursor: string | null;
  endCursor?: string | null;
  maximumRowsRead?: number;
  maximumBytesRead?: number;
}

/** A query of one table; each step makes a new one. */
class Query implements AsyncIterable<unknown> {
  readonly #source: Record<string, Json>;
  readonly #operators: Json[];

  constructor(source: Record<string, Json>, operators: Json[] = []) {
    this.#source = source;
    this.#operators = operators;
  }

  order(order: "asc" | "desc"): Query {
    if (this.#source.type === "Search") {
      throw new Error("Search queries must always be in relevance order. Can not set order manually.");
    }
    if (this.#source.order !== null) {
      throw new Error("Queries may only specify order at most once");
    }
    return new Query({ ...this.#source, order }, this.#operators);
  }

  filter(predicate: (q: typeof FILTERS) => unknown): Query {
    return new Query(this.#source, [...this.#operators, { filter: operand(predicate(FILTERS)) }]);
  }

  #limit(limit: number): Query {
    return new Query(this.#source, [...this.#operators, { limit }]);
  }

  get #json(): Json {
    return { source: this.#source, operators: this.#operators };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<unknown> {
    const { queryId } = call("1.0/queryStream", { query: this.#json }) as { queryId: number };
    try {
      for (;;) {
        const { value, done } = (await callAsync("1.0/queryStreamNext", { queryId })) as { value: Json; done: boolean };
        if (done) {
          return;
        }
        yield decode(value);
      }
    } finally {
      call("1.0/queryCleanup", { queryId });
    }
  }

  async collect(): Promise<unknown[]> {
    const rows: unknown[] = [];
    for await (const row of this) {
      rows.push(row);
    }
    return rows;
  }

  async take(count: number): Promise<unknown[]> {
    if (!Number.isInteger(count) || count < 0) {
      throw new Error("`take` needs a whole number that is not negative");
    }
    return await this.#limit(count).collect();
  }

  async first(): Promise<unknown> {
    const [row = null] = await this.take(1);
    return row;
  }

  async unique(): Promise<unknown> {
    const [row = null, second] = (await this.take(2)) as { _id: string }[];
    if (second !== undefined) {
      throw new Error(`unique() query returned more than one result:\n [${String(row?._id)}, ${second._id}, ...]`);
    }
    return row;
  }

  async paginate(options: PaginationOptions): Promise<unknown> {
    const { numItems, cursor, endCursor = null, maximumRowsRead = null, maximumBytesRead = null } = options;
    const page = (await callAsync("1.0/queryPage", {
      query: this.#json, cursor, endCursor, pageSize: numItems, maximumRowsRead, maximumBytesRead,
    })) as Record<string, Json> & { page: Json[] };
    return { ...page, page: page.page.map(decode) };
  }
}

/** A query of a table before an index is chosen. */
class TableQuery extends Query {
  readonly #table: string;

  constructor(table: string) {
    super({ type: "FullTableScan", tableName: table, order: null });
    this.#table = table;
  }

  fullTableScan(): Query {
    return this;
  }

  withIndex(index: string, range: (q: Conditions) => Conditions = (q) => q): Query {
    const { list } = range(new Conditions());
    return new Query({ type: "IndexRange", indexName: `${this.#table}.${index}`, range: list, order: null });
  }

  withSearchIndex(index: string, search: (q: Conditions) => Conditions): Query {
    const { list } = search(new Conditions());
    return new Query({ type: "Search", indexName: `${this.#table}.${index}`, filters: list });
  }

  async count(): Promise<number> {
    return Number(decode(await callAsync("1.0/count", { table: this.#table })));
  }
}

async function get(isSystem: boolean, args: string[]): Promise<unknown> {
  const [id, table] = args.length > 1 ? [args[1], args[0]] : [args[0], undefined];
  if (typeof id !== "string") {
    throw new Error(`Invalid argument \`id\` for \`db.get\`, expected string but got '${typeof id}'`);
  }
  return decode(await callAsync("1.0/get", { id, isSystem, ...(table === undefined ? {} : { table }) }));
}

function reader(isSystem: boolean): Record<string, unknown> {
  const query = (table: string): TableQuery => {
    if (table.startsWith("_") !== isSystem) {
      const [kind, place] = isSystem ? ["User", "db"] : ["System", "db.system"];
      throw new Error(`${kind} tables can only be accessed from ${place}.query().`);
    }
    return new TableQuery(table);
  };
  return {
    get: async (...args: string[]) => await get(isSystem, args),
    query,
    normalizeId: (table: string, idString: string) =>
      (call("1.0/db/normalizeId", { table, idString }) as { id: string | null }).id,
    table: (table: string) => ({ get: async (id: string) => await get(isSystem, [table, id]), query: () => query(table) }),
  };
}

/** Where a function is: by name, `messages:list`, by handle, or by the reference that `api` gives. */
function addressOf(reference: unknown): Record<string, Json> {
  const name: unknown =
    typeof reference === "object" && reference !== null
      ? (reference as Record<symbol, unknown>)[Symbol.for("functionName")]
      : reference;
  if (typeof name !== "string") {
    throw new Error("`runQuery` needs the name of a query, such as \"messages:list\"");
  }
  return name.startsWith("function://") ? { functionHandle: name } : { name };
}

function context(): Record<string, unknown> {
  return {
    db: { ...reader(false), system: reader(true) },
    auth: { getUserIdentity: async () => decode(await callAsync("1.0/getUserIdentity", {})) },
    storage: {
      getUrl: async (storageId: string) => decode(await callAsync("1.0/storageGetUrl", { storageId })),
      getMetadata: async (storageId: string) => decode(await callAsync("1.0/storageGetMetadata", { storageId })),
    },
    runQuery: async (reference: unknown, args: unknown = {}) =>
      decode(await callAsync("1.0/runUdf", { udfType: "query", args: encode(args), ...addressOf(reference) })),
  };
}

type Handler = (ctx: Record<string, unknown>, args: unknown) => unknown;
type Definition = Handler | { handler: Handler; args?: unknown; returns?: unknown };

/** Makes a query of a handler. */
export function query(definition: Definition): object {
  const isBare = typeof definition === "function";
  const handler = isBare ? definition : definition.handler;
  if (!isBare && (Object.keys(definition.args ?? {}).length > 0 || definition.returns !== undefined)) {
    throw new Error("A one-off query has no validators: leave `args` and `returns` out.");
  }
  return {
    isQuery: true,
    isPublic: true,
    invokeQuery: async (argsJson: string): Promise<string> => {
      const [args = {}] = decode(JSON.parse(argsJson) as Json) as unknown[];
      const result = await handler(context(), args);
      if (result instanceof Query) {
        throw new Error("Return value is a Query. Results must be retrieved with `.collect()`, `.take(n), `.unique()`, or `.first()`.");
      }
      return JSON.stringify(encode(result === undefined ? null : result));
    },
  };
}

/** The same: whoever may run one-off queries may run internal ones. */
export const internalQuery = query;
