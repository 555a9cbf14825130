//! The JSON Schema of the configuration, printed from the table of keys.
//!
//! It is for editors and for checks in a pipeline. It says what a schema can say: types, names and
//! ranges. What needs more (duplicate names, addresses, a password without Redis) only `-t` knows.

use super::keys::{Form, KEYS, Key, Presence};
use super::process::{PROCESS_KEYS, PROCESS_SECTION};

/// The schema (JSON Schema, draft 2020-12) as indented text, ended by a line feed.
pub fn json_schema() -> String {
    // As for the checker, a mapping under the reserved name is a pool if it has either key.
    format!(
        r##"{{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "nutcrab configuration",
  "description": "Pools by name, and process-wide settings under the name {PROCESS_SECTION}.",
  "type": "object",
  "minProperties": 1,
  "properties": {{
    "{PROCESS_SECTION}": {{
      "if": {{ "anyOf": [{{ "required": ["listen"] }}, {{ "required": ["servers"] }}] }},
      "then": {{ "$ref": "#/$defs/pool" }},
      "else": {{ "$ref": "#/$defs/process" }}
    }}
  }},
  "additionalProperties": {{ "$ref": "#/$defs/pool" }},
  "$defs": {{
    "pool": {pool},
    "process": {process}
  }}
}}
"##,
        pool = object(KEYS),
        process = object(PROCESS_KEYS),
    )
}

/// The schema of a mapping with these keys.
fn object<T>(keys: &[Key<T>]) -> String {
    let properties: Vec<String> = keys.iter().map(property).collect();
    let required: Vec<&str> = keys
        .iter()
        .filter(|key| key.presence == Presence::Required)
        .map(|key| key.name)
        .collect();
    format!(
        r#"{{
      "type": "object",
      "additionalProperties": false,
      "required": {},
      "properties": {{
{}
      }}
    }}"#,
        texts(&required),
        properties.join(",\n")
    )
}

fn property<T>(key: &Key<T>) -> String {
    let form = match &key.form {
        Form::Flag(_) => r#""enum": [true, false, "true", "false"]"#.to_owned(),
        Form::Number { range, .. } | Form::Time { range, .. } => format!(
            r#""anyOf": [{{ "type": "integer", "minimum": {}, "maximum": {} }}, {}]"#,
            range.start(),
            range.end(),
            r#"{ "type": "string", "pattern": "^[0-9]+$" }"#,
        ),
        Form::Name { names, .. } => format!(r#""enum": {}"#, texts(&names())),
        // Characters are counted here: two bytes are one or two of them.
        Form::TwoBytes(_) => r#""type": "string", "minLength": 1, "maxLength": 2"#.to_owned(),
        Form::Secret(_) => r#""type": ["string", "number", "boolean"], "minLength": 1"#.to_owned(),
        Form::Listen(_) => r#""type": "string", "pattern": "^(/|.+:[0-9]+$)""#.to_owned(),
        Form::Commands(_) => concat!(
            r#""type": "object", "additionalProperties": false, "properties": { "#,
            r#""allow": { "type": "array", "items": { "type": "string" } }, "#,
            r#""deny": { "type": "array", "items": { "type": "string" } }, "#,
            r#""unknown": { "enum": ["learn", "refuse"] } }"#
        )
        .to_owned(),
        Form::Servers(_) => concat!(
            r#""type": "array", "minItems": 1, "#,
            r#""items": { "type": "string", "pattern": ":[0-9]+( [^ ]*)?$" }"#
        )
        .to_owned(),
    };
    let default = match (&key.form, key.presence) {
        (_, Presence::Required | Presence::Optional) => String::new(),
        (Form::Flag(_) | Form::Number { .. } | Form::Time { .. }, Presence::Default(default)) => {
            format!(r#", "default": {default}"#)
        }
        (_, Presence::Default(default)) => format!(r#", "default": {}"#, text(default)),
    };
    let (name, help) = (text(key.name), text(key.help));
    format!(r#"        {name}: {{ "description": {help}, {form}{default} }}"#)
}

fn texts(list: &[&str]) -> String {
    let quoted: Vec<String> = list.iter().copied().map(text).collect();
    format!("[{}]", quoted.join(", "))
}

/// A JSON string. The texts are ours: names and prose without control characters.
fn text(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn every_key_is_in_the_schema_with_type_default_and_help() {
        let schema: Value = serde_json::from_str(&json_schema()).unwrap();
        let pool = &schema["$defs"]["pool"];
        assert_eq!(pool["required"], json!(["listen", "servers"]));
        assert_eq!(pool["additionalProperties"], json!(false));
        let properties = pool["properties"].as_object().unwrap();
        assert_eq!(properties.len(), KEYS.len());
        for key in KEYS {
            let property = &properties[key.name];
            assert_eq!(property["description"], key.help);
            assert_eq!(
                property.get("default").is_some(),
                matches!(key.presence, Presence::Default(_)),
                "{}",
                key.name
            );
        }
        assert_eq!(properties["server_retry_timeout"]["default"], json!(30000));
        assert_eq!(
            properties["server_connections"]["anyOf"][0]["minimum"],
            json!(1)
        );
        assert_eq!(properties["redis"]["default"], json!(false));
        assert_eq!(properties["hash"]["default"], json!("fnv1a_64"));
        assert_eq!(properties["hash"]["enum"].as_array().unwrap().len(), 12);
        let process = &schema["$defs"]["process"]["properties"];
        assert_eq!(process["workers"]["anyOf"][0]["maximum"], json!(64));
    }
}
