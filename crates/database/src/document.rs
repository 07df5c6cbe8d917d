//! One version of a document, kept as JSON text and decoded only when somebody looks inside.

use std::sync::{Arc, OnceLock};

use freshet_store::StoredDocument;
use freshet_values::json::encode_object;
use freshet_values::value::object_size;
use freshet_values::{Decoder, DocumentId, Object, TableNumber, Value};

use crate::error::SystemError;

/// What a field takes in a decoded object, besides a long value's own memory.
const FIELD_BYTES: usize = 56;

/// An immutable version of a document, including `_id` and `_creationTime`.
#[derive(Debug)]
pub struct Document {
    id: DocumentId,
    stored: StoredDocument,
    object: OnceLock<Object>,
}

impl Document {
    /// A document read from the store.
    pub(crate) fn from_stored(table: TableNumber, stored: StoredDocument) -> Document {
        Document { id: DocumentId { table, internal: stored.internal }, stored, object: OnceLock::new() }
    }

    /// A document made in memory.
    pub(crate) fn new(id: DocumentId, object: Object) -> Document {
        let size = object_size(&object);
        // Quotes and commas make the text a little longer than the size.
        let mut json = String::with_capacity(size + size / 4);
        encode_object(&object, &mut json);
        let stored = StoredDocument {
            internal: id.internal,
            json: Arc::from(json),
            size: u32::try_from(size).unwrap_or(u32::MAX),
        };
        Document { id, stored, object: OnceLock::from(object) }
    }

    /// The document's id.
    #[must_use]
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The encoded JSON text, including `_id` and `_creationTime`.
    #[must_use]
    pub fn json(&self) -> &Arc<str> {
        &self.stored.json
    }

    /// Size in bytes by the data model's rules.
    #[must_use]
    pub fn size(&self) -> u64 {
        u64::from(self.stored.size)
    }

    /// The fields, including `_id` and `_creationTime`.
    ///
    /// # Errors
    /// [`SystemError::Unreadable`] when the stored text was damaged.
    pub fn object(&self) -> Result<&Object, SystemError> {
        if let Some(object) = self.object.get() {
            return Ok(object);
        }
        let unreadable = |detail: String| SystemError::Unreadable { id: self.id.to_string(), detail };
        match Decoder::STRICT.value(&self.stored.json).map_err(|error| unreadable(error.to_string()))? {
            Value::Object(object) => Ok(self.object.get_or_init(|| object)),
            _ => Err(unreadable("it is not an object".to_owned())),
        }
    }

    /// Whether it holds the placeholder of a commit timestamp; only versions made in memory do.
    pub(crate) fn is_unresolved(&self) -> Result<bool, SystemError> {
        match self.object.get() {
            Some(object) => Ok(object.values().any(Value::contains_commit_ts)),
            None => Ok(false),
        }
    }

    /// The store's form.
    pub(crate) fn stored(&self) -> &StoredDocument {
        &self.stored
    }

    /// Bytes of memory, roughly, once it is decoded.
    pub(crate) fn decoded_weight(&self) -> usize {
        let size = self.stored.size as usize;
        // A field takes about 16 bytes of the size and more; their exact number is known after decoding only.
        let fields = self.object.get().map_or(size / 16 * FIELD_BYTES, Object::fields_bytes);
        128 + self.stored.json.len() + fields + 2 * size
    }

    /// Bytes of memory, roughly. A decoded object of a few short fields takes several times the memory of its text.
    pub(crate) fn weight(&self) -> usize {
        let size = self.stored.size as usize;
        let decoded = self.object.get().map_or(0, |object| object.fields_bytes() + 2 * size);
        128 + self.stored.json.len() + decoded
    }
}
