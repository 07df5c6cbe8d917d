/** Who the model is in the chat, and how a message calls it. Pure: the page uses it too. */

/** The author shown on the model's answers. No visitor may take this name. */
export const MODEL_AUTHOR = "gpt";

/** Finds every mention of the model in a text; a global pattern, for `matchAll` and `split`. */
const MENTION = /(?<![\p{L}\p{N}_])@gpt(?![\p{L}\p{N}_])/giu;

/** Whether a message asks the model for an answer. */
export function mentionsModel(body: string): boolean {
  return body.search(MENTION) >= 0;
}

/** A piece of a message: plain text or one mention of the model. */
export type BodyPiece = { text: string; mention: boolean };

/** Cuts a message into plain text and mentions. The pieces joined give the message again. */
export function bodyPieces(body: string): BodyPiece[] {
  const pieces: BodyPiece[] = [];
  let end = 0;
  for (const match of body.matchAll(MENTION)) {
    if (match.index > end) pieces.push({ text: body.slice(end, match.index), mention: false });
    pieces.push({ text: match[0], mention: true });
    end = match.index + match[0].length;
  }
  if (end < body.length) pieces.push({ text: body.slice(end), mention: false });
  return pieces;
}
