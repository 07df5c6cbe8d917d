/**
 * Every bound of the chat in one place. Text lengths are in UTF-16 code units, times in milliseconds.
 *
 * Only constants: the page imports them too, so nothing here may touch the database or the environment.
 */

/** Longest name a visitor may send. */
export const AUTHOR_CHARS_MAX = 60;

/** Longest message a visitor may send. */
export const MESSAGE_CHARS_MAX = 2_000;

/** A model's answer is cut here, whatever the model would still say. */
export const ANSWER_CHARS_MAX = 8_000;

/** How many of the newest messages the page shows. */
export const LISTED_MESSAGES_MAX = 100;

/** How many messages the model is given, the question included. */
export const CONTEXT_MESSAGES_MAX = 10;

/** Longest body of a request for an answer: the whole context, with room for JSON escapes. */
export const ANSWER_REQUEST_CHARS_MAX = 200_000;

/** An answer that nobody has asked the model for by then is given up: its author has left. */
export const UNCLAIMED_MS_MAX = 15_000;

/** The model may be silent this long before the request to it is given up. */
export const MODEL_SILENCE_MS_MAX = 45_000;

/** How often a stream gives a sign of life, whether or not the model says anything. */
export const STREAM_PULSE_MS = 5_000;

/**
 * A stream that has given no sign of life for this long is taken for dead. Several pulses, so that a
 * stream that is still running always gets to tell its own end.
 */
export const STREAM_SILENCE_MS_MAX = 20_000;
