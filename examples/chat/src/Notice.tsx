import { Component, type ErrorInfo, type ReactNode } from "react";

/** A page of its own for what keeps the chat from showing at all. */
function Notice({ title, testId, children }: { title: string; testId: string; children: ReactNode }) {
  return (
    <main className="notice" role="alert" data-testid={testId}>
      <img src="./eddy.svg" alt="" width="48" height="48" />
      <h1>{title}</h1>
      {children}
    </main>
  );
}

/** The page was built without the address of a backend. */
export function SetupNotice({ missing }: { missing: string[] }) {
  return (
    <Notice title="No backend yet" testId="setup-notice">
      <p>This page does not know where its backend is. Missing, or not an address:</p>
      <ul>
        {missing.map((name) => (
          <li key={name}>
            <code>{name}</code>
          </li>
        ))}
      </ul>
      <p>
        Run <code>npx convex dev</code> in this folder: it writes both into <code>.env.local</code>. Then start or build
        the page again.
      </p>
    </Notice>
  );
}

/** Catches what a query throws, for instance when the functions have not been deployed. */
export class ErrorNotice extends Component<{ children: ReactNode }, { problem: string | null }> {
  override state: { problem: string | null } = { problem: null };

  static getDerivedStateFromError(error: unknown) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }

  override componentDidCatch(error: unknown, info: ErrorInfo) {
    console.error(error, info.componentStack);
  }

  override render() {
    if (this.state.problem === null) return this.props.children;
    return (
      <Notice title="The chat has stopped" testId="error-notice">
        <p>The backend reported an error. If this is the first start, deploy the functions and load the page again.</p>
        <pre>{this.state.problem}</pre>
        <button type="button" onClick={() => { window.location.reload(); }}>
          Load again
        </button>
      </Notice>
    );
  }
}
