/** A page that logs in and out with React: what an app does with the hooks of a provider of tokens. */

import { Authenticated, AuthLoading, ConvexProviderWithAuth, ConvexReactClient, Unauthenticated, useConvexAuth, useMutation, useQuery } from "convex/react";
import { createElement as h, type ReactNode, useCallback, useMemo, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";

import { api } from "../apps/auth/convex/_generated/api.js";

/** What the test does, in the place of a provider's own library. */
export interface AuthPage {
  /** Logs in; the tokens are handed out one after the other, the last one again and again. */
  logIn: (tokens: string[]) => void;
  logOut: () => void;
  /** For each token that was asked for, whether it had to be a new one. */
  asked: boolean[];
}

const listeners = new Set<() => void>();
let tokens: string[] | undefined;

function change(to: string[] | undefined): void {
  tokens = to;
  for (const listener of listeners) {
    listener();
  }
}

const page: AuthPage = {
  logIn: (given) => {
    change([...given]);
  },
  logOut: () => {
    change(undefined);
  },
  asked: [],
};
Object.assign(window, { page });

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function useTestAuth(): { isLoading: boolean; isAuthenticated: boolean; fetchAccessToken: (args: { forceRefreshToken: boolean }) => Promise<string | null> } {
  const current = useSyncExternalStore(subscribe, () => tokens);
  const fetchAccessToken = useCallback(
    async ({ forceRefreshToken }: { forceRefreshToken: boolean }) => {
      page.asked.push(forceRefreshToken);
      const token = current !== undefined && current.length > 1 ? current.shift() : current?.[0];
      return Promise.resolve(token ?? null);
    },
    [current],
  );
  return useMemo(() => ({ isLoading: false, isAuthenticated: current !== undefined, fetchAccessToken }), [current, fetchAccessToken]);
}

function Texts({ id, texts }: { id: string; texts: readonly string[] | undefined }): ReactNode {
  return h("p", { "data-testid": id }, texts === undefined ? "loading" : texts.join(","));
}

function Account(): ReactNode {
  const user = useQuery(api.users.me);
  const mine = useQuery(api.users.mine);
  const write = useMutation(api.users.write);
  const add = (): void => {
    void write({ text: `of ${user?.subject ?? "nobody"}` });
  };
  return h("section", null, h(Texts, { id: "user", texts: user === undefined ? undefined : [user?.subject ?? "nobody"] }), h(Texts, { id: "mine", texts: mine }), h("button", { "data-testid": "add", onClick: add }, "add"));
}

function State(): ReactNode {
  const { isLoading, isAuthenticated } = useConvexAuth();
  return h("p", { "data-testid": "state" }, isLoading ? "loading" : isAuthenticated ? "authenticated" : "anonymous");
}

const client = new ConvexReactClient(new URLSearchParams(location.search).get("server") ?? "");
const root = document.getElementById("root");
if (root === null) {
  throw new Error("the page has no root");
}
createRoot(root).render(
  h(
    ConvexProviderWithAuth,
    { client, useAuth: useTestAuth },
    h(State),
    h(Authenticated, null, h(Account)),
    h(Unauthenticated, null, h("p", { "data-testid": "logged-out" }, "log in")),
    h(AuthLoading, null, h("p", { "data-testid": "waiting" }, "waiting")),
  ),
);
