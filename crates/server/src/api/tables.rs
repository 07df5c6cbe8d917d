//! Tables and indexes, as tools look at them.
