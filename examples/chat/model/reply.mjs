// What the stand-in model says. Pure: no network, no clock. It understands nothing, and says so in
// every answer.

/**
 * @typedef {{ role: string, content: unknown }} PromptMessage
 */

const OPENING = "I am the local stand-in model: a small script, not a language model.";

/** Words that say nothing about what a question is about. */
const FILLER = new Set(
  (
    "a about an and any are as at be but by can could did do does for from give gpt had has have hello hey hi how i if in " +
    "is it its just let lets like make me my of on one or our please say should so some something tell that the their " +
    "them then there these they this to us very was we were what when where which who why will with would write you your"
  ).split(" "),
);

/**
 * The text of a message, whatever form its content has in the request.
 * @param {unknown} content
 * @returns {string}
 */
export function textOf(content) {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((/** @type {unknown} */ part) =>
      typeof part === "object" && part !== null && "text" in part && typeof part.text === "string" ? part.text : "",
    )
    .join(" ");
}

/**
 * The words of the question that carry its topic, in order, without repeats, at most six.
 * @param {string} question
 * @returns {string[]}
 */
export function topicOf(question) {
  const words = question.toLowerCase().match(/[\p{L}\p{N}][\p{L}\p{N}'’-]*/gu) ?? [];
  const topic = words.map((word) => word.replace(/['’]s$/u, "")).filter((word) => word.length > 1 && !FILLER.has(word));
  return [...new Set(topic)].slice(0, 6);
}

/**
 * An answer to the last user message: several sentences, more than 150 characters.
 * @param {PromptMessage[]} messages
 * @returns {string}
 */
export function reply(messages) {
  const users = messages.filter((message) => message.role === "user");
  // The chat puts "Name: " before what a person wrote.
  const line = textOf(users.at(-1)?.content);
  const [, author, said] = /^([^:\n]{1,60}): ([\s\S]*)$/u.exec(line) ?? [null, null, line];
  const question = (said ?? "").replace(/@gpt\b/giu, " ").trim();
  const topic = topicOf(question);
  const about = topic.length === 0 ? "nothing I can put my finger on" : topic.join(", ");
  const asked = question.endsWith("?") ? "asked" : "wrote to me";
  return [
    `${OPENING} ${author ? `${author}, you` : "You"} ${asked} about: ${about}.`,
    `A real model would have an opinion on that by now; I only count words, and your message has ${
      question.split(/\s+/u).filter(Boolean).length
    }. I was also handed ${Math.max(0, users.length - 1)} earlier ${users.length === 2 ? "line" : "lines"} of this conversation, which I read politely and did not understand.`,
    "Still, every word of this reached its asker one at a time, and everyone else in small gulps, exactly as a real answer would.",
  ].join("\n\n");
}

/**
 * Cuts an answer into tokens: words with the space before them, and line breaks. Joined they give
 * the answer again.
 * @param {string} text
 * @returns {string[]}
 */
export function tokensOf(text) {
  return text.match(/\n+|[^\S\n]*[^\s]+|[^\S\n]+/gu) ?? [];
}
