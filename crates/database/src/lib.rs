//! Transactions, overlay, indexes, schema and subscriptions.
