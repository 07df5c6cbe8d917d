/** A page that shows and changes a list with React's hooks: pages, optimistic updates, several queries, actions, the connection. */

import {
  ConvexProvider,
  ConvexReactClient,
  insertAtPosition,
  useAction,
  useConvexConnectionState,
  useMutation,
  usePaginatedQuery,
  useQueries,
  useQuery,
} from "convex/react";
import { makeFunctionReference, type PaginationOptions, type PaginationResult } from "convex/server";
import { createElement as h, type ReactNode, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";

interface Item {
  _id: string;
  _creationTime: number;
  list: string;
  n: number;
}

type One = { list: string; n: number };

const pageOfItems = makeFunctionReference<"query", { list: string; paginationOpts: PaginationOptions }, PaginationResult<Item>>("items:page");
const countOfItems = makeFunctionReference<"query", { list: string }, number>("items:count");
const insertItem = makeFunctionReference<"mutation", One, number>("items:insert");
const insertAndFail = makeFunctionReference<"mutation", One, null>("items:insertAndFail");
const insertLater = makeFunctionReference<"action", One, string>("items:insertLater");

const PAGE_ITEMS = 5;
/** Added to the count by optimistic updates, so that what is only hoped for can be told from what is so. */
const HOPED = 1000;

/** What the test reads and does. */
export interface ListPage {
  /** Every text that an element has shown, in order, without repetitions. */
  shown: Record<string, string[]>;
  insert: (n: number) => Promise<unknown>;
  insertAndFail: (n: number) => Promise<unknown>;
  insertLater: (n: number) => Promise<unknown>;
  loadMore: () => void;
  /** Counts the items of these lists, too. */
  count: (lists: string[]) => void;
}

const page = { shown: {} } as ListPage;
Object.assign(window, { page });

function Text({ id, text }: { id: string; text: string }): ReactNode {
  useEffect(() => {
    const shown = (page.shown[id] ??= []);
    if (shown.at(-1) !== text) {
      shown.push(text);
    }
  }, [id, text]);
  return h("p", { "data-testid": id }, text);
}

function Items({ list }: { list: string }): ReactNode {
  const { results, status, loadMore } = usePaginatedQuery(pageOfItems, { list }, { initialNumItems: PAGE_ITEMS });
  const count = useQuery(countOfItems, { list });
  const insert = useMutation(insertItem).withOptimisticUpdate((store, args) => {
    store.setQuery(countOfItems, { list }, (store.getQuery(countOfItems, { list }) ?? 0) + HOPED);
    insertAtPosition({
      paginatedQuery: pageOfItems,
      argsToMatch: { list },
      sortOrder: "asc",
      sortKeyFromItem: ({ n }) => n,
      localQueryStore: store,
      item: { ...args, _id: "hoped for", _creationTime: 0 },
    });
  });
  page.insert = async (n) => await insert({ list, n });
  const fail = useMutation(insertAndFail).withOptimisticUpdate((store) => {
    store.setQuery(countOfItems, { list }, (store.getQuery(countOfItems, { list }) ?? 0) + HOPED);
  });
  page.insertAndFail = async (n) => await fail({ list, n }).catch((error: unknown) => String(error));
  const act = useAction(insertLater);
  page.insertLater = async (n) => await act({ list, n });
  page.loadMore = () => {
    loadMore(PAGE_ITEMS);
  };
  return h(
    "section",
    null,
    h(Text, { id: "items", text: results.map((item) => (item._id === "hoped for" ? `(${item.n})` : item.n)).join(" ") }),
    h(Text, { id: "status", text: status }),
    h(Text, { id: "count", text: String(count ?? "loading") }),
  );
}

function Counts(): ReactNode {
  const [lists, setLists] = useState<string[]>([]);
  page.count = setLists;
  const queries = useMemo(() => Object.fromEntries(lists.map((list) => [list, { query: countOfItems, args: { list } }])), [lists]);
  const counts = useQueries(queries) as Record<string, number | Error | undefined>;
  return h(Text, { id: "counts", text: lists.map((list) => `${list}: ${String(counts[list] ?? "loading")}`).join(", ") });
}

function Connection(): ReactNode {
  const state = useConvexConnectionState();
  return h(Text, { id: "connection", text: `${state.isWebSocketConnected ? "connected" : "disconnected"}${state.hasInflightRequests ? ", waiting" : ""}` });
}

const query = new URLSearchParams(location.search);
const client = new ConvexReactClient(query.get("server") ?? "");
const root = document.getElementById("root");
if (root === null) {
  throw new Error("the page has no root");
}
createRoot(root).render(h(ConvexProvider, { client, children: h("main", null, h(Items, { list: query.get("list") ?? "" }), h(Counts), h(Connection)) }));
