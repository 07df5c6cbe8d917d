/** Who the model is in the chat, and how a message calls it. Pure: the page uses it too. */

/** The author shown on the model's answers. No visitor may take this name. */
export const MODEL_AUTHOR = "gpt";

/**
 * A pattern that finds every mention of the model in a text. Made anew for each use: a global pattern
 * remembers where it stopped, and a module should remember nothing from one call to the next.
 */
function mentionPattern(): RegExp {
  return /(?<![\p{L}\p{N}_])@gpt(?![\p{L}\p{N}_])/giu;
}

/** Whether a message asks the model for an answer. */
export function mentionsModel(body: string): boolean {
  return mentionPattern().test(body);
}

/** A piece of a message: plain text or one mention of the model. */
export type BodyPiece = { text: string; mention: boolean };

/** Cuts a message into plain text and mentions. The pieces joined give the message again. */
export function bodyPieces(body: string): BodyPiece[] {
  const pieces: BodyPiece[] = [];
  let end = 0;
  for (const match of body.matchAll(mentionPattern())) {
    if (match.index > end) pieces.push({ text: body.slice(end, match.index), mention: false });
    pieces.push({ text: match[0], mention: true });
    end = match.index + match[0].length;
  }
  if (end < body.length) pieces.push({ text: body.slice(end), mention: false });
  return pieces;
}
