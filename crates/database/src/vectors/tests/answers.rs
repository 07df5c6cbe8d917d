//! What searches find, and what they refuse.

use super::*;

fn enabled(world: &World) -> IndexId {
    let index = world.declare(false);
    world.settle();
    world.enable(index);
    world.settle();
    index
}

#[test]
fn the_newest_commit_is_searched_whether_it_is_indexed_durable_or_neither() {
    let world = World::new(None);
    let first = world.insert(floats(&[1.0, 0.0, 0.0]), Value::from("a"));
    enabled(&world);
    world.check();
    // Neither stored nor in the index.
    let second = world.insert(floats(&[1.0, 0.1, 0.0]), Value::from("b"));
    world.check();
    world.patch(first, "v", floats(&[0.0, 0.0, -1.0]));
    world.check();
    world.patch(second, "group", Value::Float64(2.0));
    world.check();
    while world.database.step_commit() {}
    world.check();
    world.settle();
    world.check();
    world.delete(first);
    world.check();
    world.settle();
    world.check();
    world.patch(second, "v", Value::from("no vector"));
    world.check();
    world.settle();
    world.check();
    let query = json!({"indexName": "t.i", "vector": [1, 1, 1], "expressions": null});
    assert_eq!(world.search(query).unwrap(), []);
}

#[test]
fn only_arrays_of_as_many_floats_as_dimensions_are_indexed() {
    let world = World::new(None);
    enabled(&world);
    let right = world.insert(floats(&[0.0, 2.0, 0.0]), Value::Null);
    let zero = world.insert(floats(&[0.0, 0.0, 0.0]), Value::Null);
    world.insert(floats(&[0.0, 2.0]), Value::Null);
    world.insert(floats(&[0.0, 2.0, 0.0, 0.0]), Value::Null);
    world.insert(Value::Array(vec![Value::Int64(1), Value::Int64(2), Value::Int64(3)]), Value::Null);
    world.insert(Value::Null, Value::Null);
    let overflow = world.insert(floats(&[1e300, 0.0, 0.0]), Value::Null);
    for _ in 0..2 {
        let query =
            json!({"indexName": "t.i", "vector": [0.0, 1.0, 0.0], "limit": null, "expressions": null});
        assert_eq!(world.search(query).unwrap(), [(right, 1.0), (overflow, 0.0), (zero, 0.0)]);
        world.settle();
    }
}

#[test]
fn filters_compare_whole_values_and_undefined_matches_what_is_missing() {
    let world = World::new(None);
    enabled(&world);
    let same = || floats(&[1.0, 2.0, 3.0]);
    let values = [
        Value::Float64(1.0),
        Value::Int64(1),
        Value::Null,
        Value::from("1"),
        Value::Array(vec![Value::Float64(1.0)]),
    ];
    let ids: Vec<DocumentId> = values.into_iter().map(|value| world.insert(same(), value)).collect();
    let mut transaction = world.database.begin().unwrap();
    let missing = transaction.user(Namespace::ROOT).insert("t", Value::object([("v", same())])).unwrap();
    world.database.commit(transaction).unwrap();
    let literals = [json!(1.0), json!({"$integer": "AQAAAAAAAAA="}), json!(null), json!("1"), json!([1.0])];
    for _ in 0..2 {
        let find = |expressions| {
            let query = json!({"indexName": "t.i", "vector": [1, 2, 3], "expressions": expressions});
            world.search(query).unwrap().into_iter().map(|hit| hit.0).collect::<Vec<_>>()
        };
        let is = |literal: &serde_json::Value| json!({"$eq": [{"$field": "group"}, {"$literal": literal}]});
        for (id, literal) in ids.iter().zip(&literals) {
            assert_eq!(find(is(literal)), [*id]);
        }
        assert_eq!(find(is(&json!({"$undefined": null}))), [missing]);
        let either = json!({"$or": [is(&literals[0]), {"$or": [is(&literals[2]), is(&json!("x"))]}]});
        assert_eq!(find(either), [ids[2], ids[0]]);
        assert!(find(json!({"$or": []})).is_empty());
        world.settle();
    }
}

#[test]
fn what_is_wrong_with_a_query_is_said() {
    let world = World::new(None);
    let ask = |query: serde_json::Value| message(world.search(query));
    let is = |field: &str| json!({"$eq": [{"$field": field}, {"$literal": 1}]});
    let base = |vector: serde_json::Value, limit: serde_json::Value, expressions: serde_json::Value| json!({"indexName": "t.i", "vector": vector, "limit": limit, "expressions": expressions});
    let good = || base(json!([1, 2, 3]), json!(3), json!(null));
    assert_eq!(world.search(good()).unwrap(), [], "the table does not exist");
    let first = world.insert(nth(1), Value::Null);
    assert_eq!(ask(good()), ("IndexNotFoundError", "Index t.i not found.".to_owned()));
    enabled(&world);
    assert_eq!(world.search(good()).unwrap()[0].0, first);
    assert_eq!(world.search(base(json!([1, 2, 3]), json!(0), json!(null))).unwrap(), []);
    let said = |code, message: &str| (code, message.to_owned());
    assert_eq!(
        ask(base(json!([1, 2]), json!(3), json!(null))),
        said("VectorDimensionsMismatch", "Expected a vector with dimensions 3, received 2.")
    );
    assert!(world.search(base(json!([1, 2, 3]), json!(256), json!(null))).is_ok());
    assert_eq!(
        ask(base(json!([1, 2, 3]), json!(257), json!(null))),
        said("VectorLimitTooLargeError", "Vector queries can fetch at most 256 results, requested 257.")
    );
    for limit in [json!(-1), json!(1.5), json!("x")] {
        let (code, text) = ask(base(json!([1, 2, 3]), limit.clone(), json!(null)));
        assert_eq!(code, "InvalidArgument");
        assert_eq!(
            text,
            format!(
                "Invalid arguments for `vectorSearch`: `limit` must be a non-negative integer, got {limit}"
            )
        );
    }
    assert_eq!(ask(base(json!([1, null, 3]), json!(3), json!(null))).0, "InvalidArgument");
    assert_eq!(
        ask(base(json!([1, 2, 3]), json!(3), is("n"))),
        said(
            "IncorrectVectorFilterField",
            "Vector query against t.i contains a filter on \"n\" but that field isn't indexed for filtering in \
             `filterFields`."
        )
    );
    let shapes = [
        json!({"$and": [is("group")]}),
        json!({"$eq": [{"$field": "group"}]}),
        json!({"$eq": [{"$literal": 1}, {"$literal": 1}]}),
        json!({"$literal": true}),
        json!(3),
    ];
    for shape in shapes {
        let expected =
            said("InvalidVectorSearchFilter", "Filters should be a combination of `q.eq` and `q.or`.");
        assert_eq!(ask(base(json!([1, 2, 3]), json!(3), shape)), expected);
    }
    let many = |count| json!({"$or": (0..count).map(|_| is("group")).collect::<Vec<_>>()});
    assert!(world.search(base(json!([1, 2, 3]), json!(3), many(64))).is_ok());
    assert_eq!(
        ask(base(json!([1, 2, 3]), json!(3), many(65))),
        said(
            "TooManyElementsInVectorQueryError",
            "Vector query against t.i has too many conditions. Max: 64 Actual: 65"
        )
    );
    let mut query = good();
    query["indexName"] = json!("t.by_creation_time");
    assert_eq!(
        ask(query),
        said("IndexNotAVectorIndexError", "Index t.by_creation_time is not a vector index")
    );
}
