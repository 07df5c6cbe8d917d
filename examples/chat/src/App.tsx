/** The chat: puts the parts together, and holds nothing that the parts could hold themselves. */
import { useQuery } from "convex/react";
import { ConvexError } from "convex/values";
import { api } from "../convex/_generated/api";
import { COMPOSER_INPUT_ID, Composer } from "./Composer";
import { ConnectionBanner } from "./ConnectionBanner";
import { Header } from "./Header";
import { MessageList } from "./MessageList";
import { useAnswerStreams } from "./useAnswerStreams";
import { useBottomFollow } from "./useBottomFollow";
import { useSendMessage } from "./useSendMessage";
import { useVisitor } from "./useVisitor";
import { Writing } from "./Writing";

export function App({ siteUrl }: { siteUrl: string }) {
  const visitor = useVisitor();
  const messages = useQuery(api.messages.list);
  const model = useQuery(api.model.about);
  const sendMessage = useSendMessage();
  const answers = useAnswerStreams(siteUrl);
  const follow = useBottomFollow(messages?.at(-1)?._creationTime ?? 0);

  async function send(body: string) {
    if (visitor === null) return;
    follow.toEnd();
    let sent;
    try {
      sent = await sendMessage({ author: visitor, body });
    } catch (error) {
      console.error(error);
      const reason = error instanceof ConvexError && typeof error.data === "string" ? error.data : null;
      throw new Error(reason ?? "The message was not sent. Try again.", { cause: error });
    }
    if (sent.ticket !== null) void answers.follow(sent.ticket);
  }

  return (
    <div className="page">
      <a className="skip" href={`#${COMPOSER_INPUT_ID}`}>
        Skip to your message
      </a>
      <Header visitor={visitor} modelLabel={model?.label ?? null} />
      <ConnectionBanner />
      <main className="main">
        <MessageList messages={messages} streamed={answers.texts} visitor={visitor} follow={follow} />
        <Writing messages={messages ?? []} />
        <Composer
          ready={visitor !== null}
          note={model?.ready === false ? "No model is set up here, so @gpt can not answer." : null}
          onSend={send}
        />
      </main>
    </div>
  );
}
