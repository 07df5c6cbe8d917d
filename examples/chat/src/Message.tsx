import { memo } from "react";
import type { Doc } from "../convex/_generated/dataModel";
import { bodyPieces } from "../convex/mention";
import { Avatar } from "./Avatar";
import { isPending } from "./useSendMessage";

type Props = {
  message: Doc<"messages">;
  /** What this tab has of the answer already, ahead of the database. */
  streamed: string | undefined;
  own: boolean;
  /** Follows a message of the same author closely: the name is not repeated. */
  continued: boolean;
};

const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const DATE_AND_CLOCK = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export const Message = memo(function Message({ message, streamed, own, continued }: Props) {
  const { author, answer } = message;
  const status = answer?.status;
  const streaming = status === "waiting" || status === "streaming";
  // Once the answer has ended the database has the last word.
  const body = streaming && streamed && streamed.length > message.body.length ? streamed : message.body;
  const pending = isPending(message);
  const sent = new Date(message._creationTime);
  const classes = ["message", own && "own", continued && "continued", answer && "from-model", pending && "pending"];

  return (
    <li
      className={classes.filter(Boolean).join(" ")}
      aria-busy={streaming}
      data-testid="message"
      data-author={author}
      data-own={own}
      data-pending={pending}
      data-status={status}
      data-streaming={streaming}
    >
      <Avatar name={author} model={answer !== undefined} />
      <div className="message-column">
        <p className="message-head">
          <span className="message-author" data-testid="message-author">
            {author}
          </span>
          {own && <span className="message-you">you</span>}
          <time dateTime={sent.toISOString()} title={DATE_AND_CLOCK.format(sent)}>
            {CLOCK.format(sent)}
          </time>
        </p>
        <div className="bubble">
          {(body !== "" || !answer) && (
            <p className="message-body" data-testid="message-body">
              <Body text={body} plain={answer !== undefined} />
              {streaming && <span className="caret" aria-hidden="true" />}
            </p>
          )}
          {streaming && body === "" && <Dots />}
          {answer?.problem !== undefined && (
            <p className="message-problem" data-testid="message-problem">
              {answer.problem}
            </p>
          )}
        </div>
        {pending && <p className="message-pending">Sending…</p>}
      </div>
    </li>
  );
});

/** Three dots that bob: something is about to be said here. */
export function Dots() {
  return (
    <span className="dots" aria-hidden="true">
      <span />
      <span />
      <span />
    </span>
  );
}

function Body({ text, plain }: { text: string; plain: boolean }) {
  if (plain) return text;
  return bodyPieces(text).map((piece, index) =>
    piece.mention ? (
      <strong className="mention" key={index}>
        {piece.text}
      </strong>
    ) : (
      piece.text
    ),
  );
}
