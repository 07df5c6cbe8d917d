import { useConvexConnectionState } from "convex/react";

/** Says so when the page is cut off. The style sheet holds it back for a moment, so that blips pass unseen. */
export function ConnectionBanner() {
  const { isWebSocketConnected, hasEverConnected } = useConvexConnectionState();
  const state = isWebSocketConnected ? "connected" : hasEverConnected ? "lost" : "connecting";
  return (
    <div className="connection" role="status" data-testid="connection" data-state={state}>
      {state === "lost" && <p>Connection lost. Trying again; what you send now goes out when it is back.</p>}
      {state === "connecting" && <p>Connecting…</p>}
    </div>
  );
}
