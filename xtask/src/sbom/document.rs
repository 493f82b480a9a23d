//! Components as a CycloneDX document.
//!
//! Source: the JSON schema of CycloneDX 1.5, <https://cyclonedx.org/docs/1.5/json/>.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Component;

/// The document of a program that is made of components, itself among them.
pub(super) fn of(program: &Component, components: &[Component]) -> Value {
    let known: BTreeSet<&str> = components.iter().map(|component| component.purl.as_str()).collect();
    let parts: Vec<Value> = components.iter().filter(|part| part.purl != program.purl).map(described).collect();
    let edges: Vec<Value> = components.iter().map(|component| edges(component, &known)).collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": described(program) },
        "components": parts,
        "dependencies": edges,
    })
}

fn described(component: &Component) -> Value {
    let mut value = json!({
        "type": component.kind,
        "bom-ref": component.purl,
        "name": component.name,
        "version": component.version,
        "purl": component.purl,
        "licenses": [{ "expression": component.license }],
    });
    if let Some(description) = &component.description {
        value["description"] = json!(description);
    }
    if let Some(sha256) = &component.sha256 {
        value["hashes"] = json!([{ "alg": "SHA-256", "content": sha256 }]);
    }
    value
}

fn edges(component: &Component, known: &BTreeSet<&str>) -> Value {
    let needs: BTreeSet<&str> =
        component.needs.iter().map(String::as_str).filter(|purl| known.contains(purl)).collect();
    json!({ "ref": component.purl, "dependsOn": needs })
}
