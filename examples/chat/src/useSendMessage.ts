import type { OptimisticLocalStore } from "convex/browser";
import { useMutation } from "convex/react";
import { useMemo } from "react";
import { api } from "../convex/_generated/api";
import type { Doc, Id } from "../convex/_generated/dataModel";
import { LISTED_MESSAGES_MAX } from "../convex/limits";

const PENDING_PREFIX = "pending:";

/** Whether the message is only on this page yet. */
export function isPending(message: Doc<"messages">): boolean {
  return message._id.startsWith(PENDING_PREFIX);
}

/** Sends a message, and shows it at once, before the server has it. */
export function useSendMessage() {
  const send = useMutation(api.messages.send);
  return useMemo(() => send.withOptimisticUpdate(showAtOnce), [send]);
}

function showAtOnce(store: OptimisticLocalStore, { author, body }: { author: string; body: string }): void {
  const messages = store.getQuery(api.messages.list, {});
  if (messages === undefined) return;
  const message: Doc<"messages"> = {
    _id: `${PENDING_PREFIX}${Math.random()}` as Id<"messages">,
    _creationTime: Date.now(),
    author,
    body: body.trim(),
  };
  store.setQuery(api.messages.list, {}, [...messages, message].slice(-LISTED_MESSAGES_MAX));
}
