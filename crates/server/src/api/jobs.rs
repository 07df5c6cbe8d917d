//! Scheduled functions, as administrators handle them.
