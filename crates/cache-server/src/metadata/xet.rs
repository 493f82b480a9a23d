//! Takes out what leads clients to the Xet storage, which this server does not stand in for.
//!
//! A client that sees a Xet hash skips the plain file and asks for a Xet token. Without the hash it fetches the
//! file over HTTP, with the same digest.

use serde_json::Value;

/// Removes Xet hashes at any depth.
pub(crate) fn strip(json: &mut Value) {
    match json {
        Value::Object(map) => {
            map.retain(|key, _| !matches!(key.as_str(), "xetHash" | "xet_hash" | "xetEnabled"));
            map.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hashes_go_at_any_depth_and_the_rest_stays() {
        let mut json = json!({"id": "o/r", "siblings": [{"rfilename": "a", "xetHash": "x", "lfs": {"xet_hash": "y"}}]});
        strip(&mut json);
        assert_eq!(json, json!({"id": "o/r", "siblings": [{"rfilename": "a", "lfs": {}}]}));
    }
}
