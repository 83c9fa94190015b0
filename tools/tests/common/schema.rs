//! docs/tool.schema.json, read the way a program that relies on it would: as much of JSON Schema as
//! stands in there, and a failure for what does not.

use serde_json::{Map, Value};

/// What is wrong with `answer` as the answer of `command`.
pub fn check(command: &str, answer: &Value) -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/tool.schema.json");
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let schema = &document["commands"][command];
    assert!(schema.is_object(), "the schema does not know {command}");
    let mut wrong = Vec::new();
    judge(&document, schema, answer, "$", &mut wrong);
    wrong
}

fn judge(document: &Value, schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    let Some(schema) = schema.as_object() else {
        assert_eq!(schema, true, "a schema that is none");
        return;
    };
    for (word, rule) in schema {
        match word.as_str() {
            "title" | "description" | "default" | "$schema" | "minimum" | "maximum"
            | "required" | "format" => {}
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                judge(document, &document["$defs"][name], value, at, wrong);
            }
            "type" => {
                let kinds: Vec<_> = match rule {
                    Value::Array(kinds) => kinds.iter().map(|one| one.as_str().unwrap()).collect(),
                    one => vec![one.as_str().unwrap()],
                };
                if !kinds.iter().any(|kind| is(kind, value)) {
                    wrong.push(format!("{at} is not {kinds:?}"));
                }
            }
            "enum" if !rule.as_array().unwrap().contains(value) => {
                wrong.push(format!("{at} is none of {rule}"));
            }
            "const" if rule != value => wrong.push(format!("{at} is not {rule}")),
            "enum" | "const" => {}
            "anyOf" | "oneOf" => {
                let fits = |one: &Value| {
                    let mut inner = Vec::new();
                    judge(document, one, value, at, &mut inner);
                    inner.is_empty()
                };
                if !rule.as_array().unwrap().iter().any(fits) {
                    wrong.push(format!("{at} fits none of {rule}"));
                }
            }
            "items" => {
                for (number, one) in value.as_array().into_iter().flatten().enumerate() {
                    judge(document, rule, one, &format!("{at}[{number}]"), wrong);
                }
            }
            "properties" => object(document, schema, value, at, wrong),
            other => panic!("the schema says \"{other}\", which is not read here"),
        }
    }
}

/// Every property is described, and what is required is there.
fn object(
    document: &Value,
    schema: &Map<String, Value>,
    value: &Value,
    at: &str,
    wrong: &mut Vec<String>,
) {
    let Some(value) = value.as_object() else { return };
    let properties = schema["properties"].as_object().unwrap();
    for (name, one) in value {
        match properties.get(name) {
            Some(schema) => judge(document, schema, one, &format!("{at}.{name}"), wrong),
            None => wrong.push(format!("{at}.{name} is not described")),
        }
    }
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if !value.contains_key(name.as_str().unwrap()) {
            wrong.push(format!("{at} has no {name}"));
        }
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("a type \"{other}\""),
    }
}
