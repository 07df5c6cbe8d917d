import type { Doc, Id } from "../convex/_generated/dataModel";
import { Message } from "./Message";
import type { BottomFollow } from "./useBottomFollow";

type Props = {
  /** Undefined until the first result is here. */
  messages: Doc<"messages">[] | undefined;
  streamed: ReadonlyMap<Id<"messages">, string>;
  visitor: string | null;
  follow: BottomFollow;
};

/** Two messages of one author this near are shown as one turn. */
const TURN_MS_MAX = 3 * 60_000;

export function MessageList({ messages, streamed, visitor, follow }: Props) {
  const { scroller, onScroll, seenUpTo, toEnd } = follow;
  const unseen =
    messages === undefined || seenUpTo === null
      ? 0
      : messages.filter((message) => message._creationTime > seenUpTo && message.author !== visitor).length;

  function goToEnd() {
    toEnd();
    // The button that was pressed goes away; the keyboard should stay where the reader is.
    scroller.current?.focus({ preventScroll: true });
  }

  return (
    <div className="list-frame">
      <div
        className="list-scroller"
        ref={scroller}
        onScroll={onScroll}
        // Reachable by keyboard, so that the arrow keys scroll it.
        tabIndex={0}
        role="log"
        aria-label="Messages"
        aria-relevant="additions"
        aria-busy={messages === undefined}
      >
        {messages === undefined && <Loading />}
        {messages?.length === 0 && <Empty />}
        {messages !== undefined && messages.length > 0 && (
          <ol className="list" data-testid="messages">
            {messages.map((message, index) => (
              <Message
                key={message._id}
                message={message}
                streamed={streamed.get(message._id)}
                own={message.answer === undefined && message.author === visitor}
                continued={continues(messages[index - 1], message)}
              />
            ))}
          </ol>
        )}
      </div>
      {seenUpTo !== null && (
        <button type="button" className="to-end" data-testid="new-messages" onClick={goToEnd}>
          {unseen === 0 ? "To the newest" : unseen === 1 ? "1 new message" : `${unseen} new messages`}
          <span aria-hidden="true"> ↓</span>
        </button>
      )}
    </div>
  );
}

function continues(before: Doc<"messages"> | undefined, message: Doc<"messages">): boolean {
  return (
    before?.author === message.author &&
    before.answer === undefined &&
    message.answer === undefined &&
    message._creationTime - before._creationTime < TURN_MS_MAX
  );
}

function Loading() {
  return (
    <div className="loading" data-testid="loading">
      <p className="visually-hidden">Loading the conversation…</p>
      {[62, 38, 74, 50].map((width, index) => (
        <div className="skeleton" key={index} aria-hidden="true">
          <span className="skeleton-avatar" />
          <span className="skeleton-bubble" style={{ width: `${width}%` }} />
        </div>
      ))}
    </div>
  );
}

function Empty() {
  return (
    <div className="empty" data-testid="empty">
      <img src="./eddy.svg" alt="" width="56" height="56" />
      <h2>It is quiet here</h2>
      <p>
        Say something. Open this page in a second tab to be two people, and write <strong className="mention">@gpt</strong>{" "}
        to bring the model in.
      </p>
    </div>
  );
}
