//! Chores of this workspace. `cargo xtask tidy` checks the house rules that a program can check.

mod sbom;
mod source;
mod tidy;
mod workspace;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use crate::workspace::Workspace;

const HELP: &str = "\
Chores of this workspace.

usage: cargo xtask <command>

commands:
  tidy            check the arrows between crates, the house rules and the licenses of dependencies
  rules           list what `tidy` checks
  sbom --out DIR  write what the program is made of: speech-flow.cdx.json (CycloneDX) and LICENSES.txt
  help            print this
";

fn main() -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut out = std::io::stdout().lock();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tidy"] => {
            let workspace = Workspace::load(&Workspace::root()).context("the workspace could not be read")?;
            let findings = tidy::check(&workspace);
            for finding in &findings {
                writeln!(out, "{finding}")?;
            }
            if !findings.is_empty() {
                writeln!(out, "tidy: {} to mend", findings.len())?;
                return Ok(ExitCode::from(1));
            }
            writeln!(
                out,
                "tidy: {} rules hold in {} files of {} crates",
                tidy::RULES.len(),
                workspace.files.len(),
                workspace.manifests.len()
            )?;
        }
        ["rules"] => {
            for rule in tidy::RULES {
                writeln!(out, "{:<13} {}", rule.name, rule.claim)?;
            }
        }
        ["sbom", "--out", out_folder] => {
            let count = sbom::write(&Workspace::root(), Path::new(out_folder))?;
            writeln!(out, "sbom: {count} components in {out_folder}")?;
        }
        [] | ["help" | "--help" | "-h"] => write!(out, "{HELP}")?,
        _ => {
            write!(std::io::stderr(), "error: unknown command `{}`\n\n{HELP}", arguments.join(" "))?;
            return Ok(ExitCode::from(2));
        }
    }
    Ok(ExitCode::SUCCESS)
}
