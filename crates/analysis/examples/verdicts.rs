//! Prints the verdicts on a folder of bundled modules: `cargo run -p freshet-analysis --example verdicts -- FOLDER`.
#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};

use freshet_analysis::{Module, Verdict, analyze};

fn main() -> std::io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned()));
    let mut files = Vec::new();
    collect(&folder, &mut files)?;
    let sources: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let path = file.strip_prefix(&folder).unwrap_or(file).to_string_lossy().replace('\\', "/");
            std::fs::read_to_string(file).map(|source| (path, source))
        })
        .collect::<Result<_, _>>()?;
    let modules: Vec<Module<'_>> = sources.iter().map(|(path, source)| Module { path, source }).collect();
    let started = std::time::Instant::now();
    let analysis = analyze(&modules);
    for (path, _) in &sources {
        match analysis.verdict(path) {
            Verdict::Verified => println!("{path}: verified"),
            Verdict::Reuse => println!("{path}: reused by choice"),
            Verdict::Fresh(reasons) => {
                println!("{path}: fresh");
                for reason in reasons {
                    println!(
                        "    {}:{}:{} {}",
                        reason.module,
                        reason.line + 1,
                        reason.column + 1,
                        reason.message
                    );
                }
            }
        }
    }
    println!("{} modules in {} ms", modules.len(), started.elapsed().as_millis());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries: Vec<_> = std::fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "js") {
            files.push(path);
        }
    }
    Ok(())
}
