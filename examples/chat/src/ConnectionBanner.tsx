import { useConvexConnectionState } from "convex/react";
import { useEffect, useState } from "react";

/** A message under way for this long means that nothing gets through, whatever the socket says. */
const UNANSWERED_MS_MAX = 3_000;

/** Says so when the page is cut off. The style sheet holds it back for a moment, so that blips pass unseen. */
export function ConnectionBanner() {
  const { isWebSocketConnected, hasEverConnected, timeOfOldestInflightRequest } = useConvexConnectionState();
  const unanswered = useOlderThan(timeOfOldestInflightRequest?.getTime() ?? null, UNANSWERED_MS_MAX);
  const state = !isWebSocketConnected
    ? hasEverConnected ? "lost" : "connecting"
    : unanswered ? "unanswered" : "connected";
  return (
    <div className="connection" role="status" data-testid="connection" data-state={state}>
      {state === "lost" && <p>Connection lost. Trying again; what you send now goes out when it is back.</p>}
      {state === "unanswered" && <p>No answer from the backend. What you sent goes out when it can be reached.</p>}
      {state === "connecting" && <p>Connecting…</p>}
    </div>
  );
}

/** Whether `since`, in ms since the epoch, is more than `age_ms` ago. False for null. */
function useOlderThan(since: number | null, age_ms: number): boolean {
  const [old, setOld] = useState<number | null>(null);
  useEffect(() => {
    if (since === null) return;
    const timer = setTimeout(() => { setOld(since); }, Math.max(0, since + age_ms - Date.now()));
    return () => { clearTimeout(timer); };
  }, [since, age_ms]);
  return since !== null && old === since;
}
