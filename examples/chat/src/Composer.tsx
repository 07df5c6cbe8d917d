import { type KeyboardEvent, type SubmitEvent, useEffect, useRef, useState } from "react";
import { MESSAGE_CHARS_MAX } from "../convex/limits";
import { MODEL_AUTHOR, mentionsModel } from "../convex/mention";

/** Where the skip link leads. */
export const COMPOSER_INPUT_ID = "composer-input";

/** The count of characters appears when no more than this are left. */
const SHOW_COUNT_BELOW = 200;

type Props = {
  /** False until this tab has a name. */
  ready: boolean;
  /** Shown under the input. */
  note: string | null;
  /** Rejects with the text for the visitor when the message was not taken. */
  onSend: (body: string) => Promise<void>;
};

export function Composer({ ready, note, onSend }: Props) {
  const [draft, setDraft] = useState("");
  const [problem, setProblem] = useState<string | null>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  const left = MESSAGE_CHARS_MAX - draft.length;
  const sendable = ready && draft.trim() !== "";

  useEffect(() => {
    const element = input.current;
    // Where the browser can do this by CSS, it does (`field-sizing`).
    if (!element || CSS.supports("field-sizing", "content")) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [draft]);

  async function submit() {
    if (!sendable) return;
    setDraft("");
    setProblem(null);
    input.current?.focus();
    try {
      await onSend(draft);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : "The message was not sent.");
      // Give the text back, unless the next message is being written already.
      setDraft((next) => (next === "" ? draft : next));
    }
  }

  function onSubmit(event: SubmitEvent<HTMLFormElement>) {
    event.preventDefault();
    void submit();
  }

  function onKeyDown(event: KeyboardEvent<HTMLTextAreaElement>) {
    // While an input method composes a word, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void submit();
  }

  function mention() {
    setDraft((before) => (mentionsModel(before) ? before : `@${MODEL_AUTHOR} ${before}`));
    input.current?.focus();
  }

  return (
    <form className="composer" onSubmit={onSubmit}>
      {problem !== null && (
        <p className="composer-problem" role="alert" data-testid="send-problem">
          {problem}
        </p>
      )}
      <div className="composer-box">
        <button
          type="button"
          className="composer-mention"
          onClick={mention}
          disabled={mentionsModel(draft)}
          title="Ask the model in this message"
          data-testid="mention"
        >
          @{MODEL_AUTHOR}
        </button>
        <label className="visually-hidden" htmlFor={COMPOSER_INPUT_ID}>
          Your message
        </label>
        <textarea
          id={COMPOSER_INPUT_ID}
          ref={input}
          rows={1}
          value={draft}
          maxLength={MESSAGE_CHARS_MAX}
          placeholder="Write to everyone…"
          enterKeyHint="send"
          autoComplete="off"
          aria-describedby="composer-hint"
          data-testid="composer-input"
          onChange={(event) => { setDraft(event.target.value); }}
          onKeyDown={onKeyDown}
        />
        <button type="submit" className="composer-send" disabled={!sendable} aria-label="Send" data-testid="send">
          <svg viewBox="0 0 24 24" aria-hidden="true">
            <path d="M12 20V5M5.500 11.500 12 5l6.500 6.500" />
          </svg>
        </button>
      </div>
      <p className="composer-hint" id="composer-hint">
        {note === null ? (
          <span className="composer-keys">Enter sends, Shift and Enter makes a new line.</span>
        ) : (
          <span>{note}</span>
        )}
        {left < SHOW_COUNT_BELOW && <span className="composer-left">{left} left</span>}
      </p>
    </form>
  );
}
