//! [`Decoder`]: from JSON text, or a parsed JSON tree, to values.
//!
//! One serde visitor builds values directly. Depth is bounded by the nesting limit (checked before going deeper), so
//! hostile input cannot exhaust the stack. Serde's errors are opaque texts; the precise [`DecodeError`] travels
//! beside them in [`Context::failure`].

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use compact_str::CompactString;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::field_name;
use crate::json::error::DecodeError;
use crate::json::payload::Tag;
use crate::limits::{ARRAY_LENGTH_MAX, OBJECT_FIELDS_MAX, VALUE_NESTING_MAX, VALUE_SIZE_MAX};
use crate::object::Object;
use crate::value::Value;

/// No JSON text is measured smaller than this many times its length: a digit and a comma make a number of 9 bytes.
const SIZE_PER_TEXT_BYTE_MAX: usize = 5;

/// What a decoder takes for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoder {
    /// Whether `{"$commitTs": null}` is a value.
    commit_ts: bool,
    /// Whether a number without fraction and exponent is an int64 (the export form).
    integer_tokens: bool,
}

impl Decoder {
    /// The encoded form; commit timestamp placeholders are errors.
    pub const STRICT: Decoder = Decoder { commit_ts: false, integer_tokens: false };
    /// The encoded form with commit timestamp placeholders.
    pub const WITH_COMMIT_TS: Decoder = Decoder { commit_ts: true, integer_tokens: false };
    /// The export form: integer tokens are int64, numbers with a fraction or exponent float64, tagged objects as in
    /// the encoded form. (An integer token beyond 64 bits reads as a float64; exports have none.)
    pub const EXPORT: Decoder = Decoder { commit_ts: false, integer_tokens: true };

    /// Decodes a value.
    ///
    /// # Errors
    /// The text is not JSON, or breaks a rule of values, or holds `undefined`.
    pub fn value(self, json: &str) -> Result<Value, DecodeError> {
        self.operand(json)?.ok_or(DecodeError::Undefined)
    }

    /// Decodes a value from a JSON tree.
    ///
    /// # Errors
    /// The tree breaks a rule of values, or holds `undefined`.
    pub fn value_from_json(self, json: &serde_json::Value) -> Result<Value, DecodeError> {
        self.operand_from_json(json)?.ok_or(DecodeError::Undefined)
    }

    /// Decodes an operand: a value, or `None` for `undefined` at the top level.
    ///
    /// # Errors
    /// The text is not JSON, or breaks a rule of values, or holds `undefined` further in.
    pub fn operand(self, json: &str) -> Result<Option<Value>, DecodeError> {
        let context = Context::new(self);
        let value = context.run_text(json, ValueSeed { context: &context, depth: 0 })?;
        if text_may_be_too_large(json) {
            check_size(value.as_ref().map_or(0, Value::size))?;
        }
        Ok(value)
    }

    /// Decodes an operand from a JSON tree.
    ///
    /// # Errors
    /// The tree breaks a rule of values, or holds `undefined` further in.
    pub fn operand_from_json(self, json: &serde_json::Value) -> Result<Option<Value>, DecodeError> {
        let context = Context::new(self);
        let value = context.run_tree(json, ValueSeed { context: &context, depth: 0 })?;
        check_size(value.as_ref().map_or(0, Value::size))?;
        Ok(value)
    }

    /// Decodes a patch: an object whose fields may be `undefined` (`None`), which removes them.
    ///
    /// # Errors
    /// The text is not JSON, or no object, or breaks a rule of values, or holds `undefined` further in.
    pub fn patch(self, json: &str) -> Result<BTreeMap<String, Option<Value>>, DecodeError> {
        let context = Context::new(self);
        let patch = context.run_text(json, PatchSeed { context: &context })?;
        if text_may_be_too_large(json) {
            check_size(patch_size(&patch))?;
        }
        Ok(patch)
    }

    /// Decodes a patch from a JSON tree.
    ///
    /// # Errors
    /// The tree is no object, or breaks a rule of values, or holds `undefined` further in.
    pub fn patch_from_json(
        self,
        json: &serde_json::Value,
    ) -> Result<BTreeMap<String, Option<Value>>, DecodeError> {
        let context = Context::new(self);
        let patch = context.run_tree(json, PatchSeed { context: &context })?;
        check_size(patch_size(&patch))?;
        Ok(patch)
    }
}

impl Value {
    /// Decodes the encoded form, strictly: no `undefined`, no commit timestamp placeholder.
    ///
    /// # Errors
    /// The text is not JSON or breaks a rule of values.
    pub fn decode(json: &str) -> Result<Value, DecodeError> {
        Decoder::STRICT.value(json)
    }

    /// [`Value::decode`] from a JSON tree.
    ///
    /// # Errors
    /// The tree breaks a rule of values.
    pub fn from_json(json: &serde_json::Value) -> Result<Value, DecodeError> {
        Decoder::STRICT.value_from_json(json)
    }

    /// Decodes an operand of an index range or filter: `undefined` and the placeholder may be.
    ///
    /// # Errors
    /// The text is not JSON or breaks a rule of values.
    pub fn decode_operand(json: &str) -> Result<Option<Value>, DecodeError> {
        Decoder::WITH_COMMIT_TS.operand(json)
    }

    /// Decodes a patch as a mutation makes it: fields may be `undefined` (`None`: remove), placeholders may be.
    ///
    /// # Errors
    /// The text is not JSON, or no object, or breaks a rule of values.
    pub fn decode_patch(json: &str) -> Result<BTreeMap<String, Option<Value>>, DecodeError> {
        Decoder::WITH_COMMIT_TS.patch(json)
    }
}

/// Whether a text is so long that its value may exceed the size limit: shorter ones need not be measured.
fn text_may_be_too_large(json: &str) -> bool {
    json.len() > VALUE_SIZE_MAX / SIZE_PER_TEXT_BYTE_MAX
}

fn check_size(size: usize) -> Result<(), DecodeError> {
    if size > VALUE_SIZE_MAX { Err(DecodeError::TooLarge(size)) } else { Ok(()) }
}

fn patch_size(patch: &BTreeMap<String, Option<Value>>) -> usize {
    2 + patch
        .iter()
        .map(|(name, value)| name.len() + 1 + value.as_ref().map_or(0, Value::size))
        .sum::<usize>()
}

/// What every visitor of one decoding shares.
struct Context {
    decoder: Decoder,
    /// The rule that was broken, set just before serde is told to stop.
    failure: Cell<Option<DecodeError>>,
}

impl Context {
    fn new(decoder: Decoder) -> Context {
        Context { decoder, failure: Cell::new(None) }
    }

    fn run_text<'de, S: DeserializeSeed<'de>>(
        &self,
        json: &'de str,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let decoded = seed.deserialize(&mut deserializer);
        let ended = decoded.and_then(|decoded| deserializer.end().map(|()| decoded));
        ended.map_err(|error| self.error(&error))
    }

    fn run_tree<'de, S: DeserializeSeed<'de>>(
        &self,
        json: &'de serde_json::Value,
        seed: S,
    ) -> Result<S::Value, DecodeError> {
        seed.deserialize(json).map_err(|error| self.error(&error))
    }

    fn error(&self, error: &serde_json::Error) -> DecodeError {
        self.failure.take().unwrap_or_else(|| DecodeError::Syntax(error.to_string()))
    }

    /// Notes the broken rule and makes the error that stops serde.
    fn fail<E: Error>(&self, failure: DecodeError) -> E {
        self.failure.set(Some(failure));
        E::custom("not a value")
    }

    fn check<T, E: Error>(&self, result: Result<T, DecodeError>) -> Result<T, E> {
        result.map_err(|failure| self.fail(failure))
    }

    /// The level of a container that `depth` others enclose.
    fn enter<E: Error>(&self, depth: usize) -> Result<usize, E> {
        let level = depth + 1;
        if level > VALUE_NESTING_MAX { Err(self.fail(DecodeError::TooNested(level))) } else { Ok(level) }
    }

    /// The rest of an object whose first name has been read. A repeated name: the last one wins.
    fn fields<'de, A, S, F>(&self, mut map: A, first: CompactString, seed: S) -> Result<F, A::Error>
    where
        A: MapAccess<'de>,
        S: DeserializeSeed<'de> + Copy,
        F: Fields<S::Value>,
    {
        let mut fields = F::default();
        let mut next = Some(first);
        while let Some(name) = next {
            self.check(field_name::check(&name))?;
            fields.put(name, map.next_value_seed(seed)?);
            next = map.next_key::<CompactString>()?;
            if fields.count() > OBJECT_FIELDS_MAX {
                // Count what is left without keeping it.
                let mut count = fields.count();
                while let Some(name) = next {
                    map.next_value::<IgnoredAny>()?;
                    count += usize::from(!fields.has(&name));
                    next = map.next_key()?;
                }
                return Err(self.fail(DecodeError::TooManyFields(count)));
            }
        }
        Ok(fields)
    }

    /// The rest of an object whose first name starts with `$`.
    fn tagged<'de, A: MapAccess<'de>>(
        &self,
        mut map: A,
        first: CompactString,
    ) -> Result<Option<Value>, A::Error> {
        let Some(tag) = Tag::from_key(&first) else {
            return Err(self.fail(DecodeError::ReservedField(first.into())));
        };
        loop {
            let value = map.next_value_seed(PayloadSeed { context: self, tag })?;
            match map.next_key::<CompactString>()? {
                None => return Ok(value),
                // The one name repeated: the last one wins.
                Some(name) if name == first => {}
                Some(_) => return Err(self.fail(DecodeError::ReservedField(first.into()))),
            }
        }
    }
}

/// Decodes a value or `undefined`, `depth` containers deep.
#[derive(Clone, Copy)]
struct ValueSeed<'c> {
    context: &'c Context,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        Ok(Some(Value::Null))
    }

    fn visit_bool<E: Error>(self, truth: bool) -> Result<Option<Value>, E> {
        Ok(Some(Value::Boolean(truth)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Option<Value>, E> {
        if self.context.decoder.integer_tokens {
            return Ok(Some(Value::Int64(number)));
        }
        Ok(Some(Value::Float64(number as f64)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Option<Value>, E> {
        if self.context.decoder.integer_tokens {
            let range_error = |_| self.context.fail(DecodeError::IntegerRange(number));
            return Ok(Some(Value::Int64(i64::try_from(number).map_err(range_error)?)));
        }
        Ok(Some(Value::Float64(number as f64)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Option<Value>, E> {
        Ok(Some(Value::Float64(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        Ok(Some(Value::String(text.to_owned())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Option<Value>, E> {
        Ok(Some(Value::String(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        let context = self.context;
        let element = FieldSeed { context, depth: context.enter(self.depth)? };
        let mut elements = Vec::new();
        while let Some(value) = seq.next_element_seed(element)? {
            elements.push(value);
            if elements.len() > ARRAY_LENGTH_MAX {
                // Count what is left without keeping it.
                let mut count = elements.len();
                while seq.next_element::<IgnoredAny>()?.is_some() {
                    count += 1;
                }
                return Err(context.fail(DecodeError::ArrayTooLong(count)));
            }
        }
        Ok(Some(Value::Array(elements)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let context = self.context;
        let first = map.next_key::<CompactString>()?;
        if let Some(first) = first.as_ref().filter(|name| name.starts_with('$')) {
            return context.tagged(map, first.clone());
        }
        let field = FieldSeed { context, depth: context.enter(self.depth)? };
        let object = match first {
            Some(first) => context.fields(map, first, field)?,
            None => Object::new(),
        };
        Ok(Some(Value::Object(object)))
    }
}

/// What decoded fields are put into; of a repeated name the last value stays.
trait Fields<T>: Default {
    fn put(&mut self, name: CompactString, value: T);
    fn count(&self) -> usize;
    fn has(&self, name: &str) -> bool;
}

impl Fields<Value> for Object {
    fn put(&mut self, name: CompactString, value: Value) {
        self.insert(name, value);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn has(&self, name: &str) -> bool {
        self.contains_key(name)
    }
}

impl<T> Fields<T> for BTreeMap<String, T> {
    fn put(&mut self, name: CompactString, value: T) {
        self.insert(name.into(), value);
    }

    fn count(&self) -> usize {
        self.len()
    }

    fn has(&self, name: &str) -> bool {
        self.contains_key(name)
    }
}

/// Decodes an element or field, which cannot be `undefined`.
#[derive(Clone, Copy)]
struct FieldSeed<'c> {
    context: &'c Context,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        let FieldSeed { context, depth } = self;
        match (ValueSeed { context, depth }).deserialize(deserializer)? {
            Some(value) => Ok(value),
            None => Err(context.fail(DecodeError::Undefined)),
        }
    }
}

/// Decodes a patch.
#[derive(Clone, Copy)]
struct PatchSeed<'c> {
    context: &'c Context,
}

impl<'de> DeserializeSeed<'de> for PatchSeed<'_> {
    type Value = BTreeMap<String, Option<Value>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl PatchSeed<'_> {
    fn not_an_object<T, E: Error>(self) -> Result<T, E> {
        Err(self.context.fail(DecodeError::NotAnObject))
    }
}

impl<'de> Visitor<'de> for PatchSeed<'_> {
    type Value = BTreeMap<String, Option<Value>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        self.not_an_object()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        self.not_an_object()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some(first) = map.next_key::<CompactString>()? else {
            return Ok(BTreeMap::new());
        };
        if first.starts_with('$') {
            self.context.tagged(map, first)?;
            return self.not_an_object();
        }
        // A patch is an object, so its fields are one container deep.
        self.context.fields(map, first, ValueSeed { context: self.context, depth: 1 })
    }
}

/// Decodes the payload of a tagged object.
#[derive(Clone, Copy)]
struct PayloadSeed<'c> {
    context: &'c Context,
    tag: Tag,
}

impl PayloadSeed<'_> {
    fn wrong_type<T, E: Error>(self) -> Result<T, E> {
        Err(self.context.fail(self.tag.payload_error()))
    }
}

impl<'de> DeserializeSeed<'de> for PayloadSeed<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PayloadSeed<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a payload")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<Value>, E> {
        self.context.check(self.tag.decode_text(text)).map(Some)
    }

    fn visit_unit<E: Error>(self) -> Result<Option<Value>, E> {
        let value = self.context.check(self.tag.decode_null())?;
        if value == Some(Value::CommitTs) && !self.context.decoder.commit_ts {
            return Err(self.context.fail(DecodeError::CommitTs));
        }
        Ok(value)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Option<Value>, E> {
        self.wrong_type()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Option<Value>, E> {
        self.wrong_type()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Option<Value>, E> {
        self.wrong_type()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Option<Value>, E> {
        self.wrong_type()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Option<Value>, A::Error> {
        self.wrong_type()
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<Option<Value>, A::Error> {
        self.wrong_type()
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
