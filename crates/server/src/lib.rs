//! HTTP API, WebSocket endpoint, deployment API and HTTP actions.
