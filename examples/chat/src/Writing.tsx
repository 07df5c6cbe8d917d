import type { Doc } from "../convex/_generated/dataModel";
import { MODEL_AUTHOR } from "../convex/mention";
import { Dots } from "./Message";

/** Tells, also to screen readers, while the model is writing: once at its start and not for every token. */
export function Writing({ messages }: { messages: Doc<"messages">[] }) {
  const open = messages.filter(({ answer }) => answer?.status === "waiting" || answer?.status === "streaming").length;
  return (
    <div className="writing" role="status" aria-live="polite" data-testid="writing">
      {open > 0 && (
        <p>
          <Dots /> {MODEL_AUTHOR} is writing{open > 1 ? ` ${open} answers` : ""}
        </p>
      )}
    </div>
  );
}
