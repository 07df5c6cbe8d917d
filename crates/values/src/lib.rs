//! Values, ordering, ids, validators and JSON codecs; no I/O.
