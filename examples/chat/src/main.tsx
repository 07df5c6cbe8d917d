import { ConvexProvider, ConvexReactClient } from "convex/react";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { readDeployment } from "./deployment";
import { ErrorNotice, SetupNotice } from "./Notice";
import "./styles.css";

const root = document.getElementById("root");
if (root === null) throw new Error("The page has no element with the id “root”");

const deployment = readDeployment(import.meta.env);
createRoot(root).render(
  <StrictMode>
    {"missing" in deployment ? (
      <SetupNotice missing={deployment.missing} />
    ) : (
      <ErrorNotice>
        <ConvexProvider client={new ConvexReactClient(deployment.url)}>
          <App siteUrl={deployment.siteUrl} />
        </ConvexProvider>
      </ErrorNotice>
    )}
  </StrictMode>,
);
