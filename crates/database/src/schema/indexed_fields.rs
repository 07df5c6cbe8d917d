//! Whether documents of a table can have the fields that its indexes name.

use freshet_values::FieldPath;
use freshet_values::validator::{DocumentValidator, Validator};

/// Whether some document can have something at `path`.
pub(super) fn can_have_field(documents: &DocumentValidator, path: &FieldPath) -> bool {
    any_at(documents, path, &|_| true)
}

/// Whether some document can have an array of float64 at `path`.
pub(super) fn can_have_vector(documents: &DocumentValidator, path: &FieldPath) -> bool {
    any_at(documents, path, &holds_vector)
}

fn any_at(documents: &DocumentValidator, path: &FieldPath, accept: &dyn Fn(&Validator) -> bool) -> bool {
    // Every document has its system fields, which its validator does not mention.
    if path.first().starts_with('_') {
        return accept(&Validator::Float64);
    }
    let segments: Vec<&str> = path.segments().collect();
    any_below(documents.validator(), &segments, accept)
}

fn any_below(validator: &Validator, path: &[&str], accept: &dyn Fn(&Validator) -> bool) -> bool {
    let Some((field, rest)) = path.split_first() else { return accept(validator) };
    match validator {
        Validator::Any => true,
        Validator::Object(fields) => {
            fields.get(*field).is_some_and(|field| any_below(&field.validator, rest, accept))
        }
        Validator::Record(record) => any_below(record.values(), rest, accept),
        Validator::Union(members) => members.iter().any(|member| any_below(member, path, accept)),
        _ => false,
    }
}

fn holds_vector(validator: &Validator) -> bool {
    match validator {
        Validator::Any => true,
        Validator::Array(element) => matches!(**element, Validator::Float64 | Validator::Any),
        Validator::Union(members) => members.iter().any(holds_vector),
        _ => false,
    }
}
