/**
 * Keeps a scrolling list at its end, but only for a reader who is there. Scrolling up stops it;
 * coming back to the end starts it again.
 */
import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

/** This near counts as the end. More than a line, so that text which grows meanwhile does not matter. */
const NEAR_END_PX = 72;

export type BottomFollow = {
  scroller: RefObject<HTMLDivElement | null>;
  onScroll: () => void;
  /** Null while following; otherwise the time of the newest message when the reader scrolled up. */
  seenUpTo: number | null;
  /** Goes to the end and follows from there. */
  toEnd: () => void;
};

/** `newest` is the creation time of the newest message, in ms since the epoch; 0 without messages. */
export function useBottomFollow(newest: number): BottomFollow {
  const scroller = useRef<HTMLDivElement>(null);
  const [seenUpTo, setSeenUpTo] = useState<number | null>(null);
  const following = seenUpTo === null;

  const onScroll = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    const left_px = element.scrollHeight - element.scrollTop - element.clientHeight;
    setSeenUpTo((before) => (left_px <= NEAR_END_PX ? null : (before ?? newest)));
  }, [newest]);

  const stick = useCallback(() => {
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
  }, []);

  // After every render: a token makes the list longer without making it have more messages.
  useLayoutEffect(() => {
    if (following) stick();
  });

  // The on-screen keyboard and a turned phone change the height without a render.
  useEffect(() => {
    const element = scroller.current;
    if (!element || !following) return;
    const observer = new ResizeObserver(stick);
    observer.observe(element);
    return () => { observer.disconnect(); };
  }, [following, stick]);

  const toEnd = useCallback(() => {
    setSeenUpTo(null);
    stick();
  }, [stick]);

  return { scroller, onScroll, seenUpTo, toEnd };
}
