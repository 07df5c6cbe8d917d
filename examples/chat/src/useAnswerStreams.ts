/**
 * The answers that this tab has asked for, token by token, while they arrive over HTTP. Everything
 * else about an answer, above all how it ended, comes from the database like any message.
 */
import { useMutation } from "convex/react";
import { useCallback, useState } from "react";
import { api } from "../convex/_generated/api";
import type { Id } from "../convex/_generated/dataModel";
import { STREAM_SILENCE_MS_MAX } from "../convex/limits";
import type { AnswerTicket } from "../convex/messages";

/**
 * How long the text of a stream that has ended is kept. Until the database has said how the answer
 * ended, which after a broken stream takes until the stream is taken for dead.
 */
const KEEP_AFTER_END_MS = 2 * STREAM_SILENCE_MS_MAX;

export type AnswerStreams = {
  /** The text so far, by the id of the answer's message. */
  texts: ReadonlyMap<Id<"messages">, string>;
  /** Fetches an answer. Resolves when it has ended, well or not; never rejects. */
  follow: (ticket: AnswerTicket) => Promise<void>;
};

export function useAnswerStreams(siteUrl: string): AnswerStreams {
  const [texts, setTexts] = useState<ReadonlyMap<Id<"messages">, string>>(new Map());
  const abandon = useMutation(api.answers.abandon);

  const follow = useCallback(
    async (ticket: AnswerTicket) => {
      const { answer, key } = ticket;
      try {
        await readAnswer(siteUrl, ticket, (text) => {
          setTexts((before) => new Map(before).set(answer, text));
        });
      } catch (error) {
        console.warn("The stream of an answer ended early", error);
        // Tells the others at once where the request never arrived; otherwise it changes nothing.
        await abandon({ answer, key }).catch(() => undefined);
      }
      setTimeout(() => {
        setTexts((before) => {
          const after = new Map(before);
          after.delete(answer);
          return after;
        });
      }, KEEP_AFTER_END_MS);
    },
    [siteUrl, abandon],
  );

  return { texts, follow };
}

async function readAnswer(siteUrl: string, ticket: AnswerTicket, onText: (text: string) => void): Promise<void> {
  const response = await fetch(`${siteUrl}/answer`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(ticket),
  });
  if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
  if (response.body === null) return;
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    onText(text);
  }
}
