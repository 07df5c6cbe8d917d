//! Turns the TypeScript of `runtime/` into JavaScript and embeds it, so that building the engine needs no npm.

use std::path::{Path, PathBuf};
use std::{env, fs};

use oxc_allocator::Allocator;
use oxc_codegen::Codegen;
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::SourceType;
use oxc_transformer::{RewriteExtensionsMode, TransformOptions, Transformer, TypeScriptOptions};

fn main() {
    napi_build::setup();
    // As it is now, not as it was when this script was compiled: target folders get copied from tree to tree.
    let package = env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    let runtime = Path::new(&package).join("../../runtime/src");
    println!("cargo:rerun-if-changed={}", runtime.display());
    let mut sources: Vec<PathBuf> = fs::read_dir(&runtime)
        .expect("runtime/src is part of the source tree")
        .map(|entry| entry.expect("runtime/src can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ts"))
        .filter(|path| {
            !path.to_string_lossy().ends_with(".test.ts") && !path.to_string_lossy().ends_with(".d.ts")
        })
        .collect();
    sources.sort();
    let mut table = String::from(
        "/// Files of the runtime: name and text.\npub(crate) const RUNTIME_FILES: &[(&str, &str)] = &[\n",
    );
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for source in &sources {
        let name = source.file_stem().expect("a .ts file has a stem").to_string_lossy().into_owned() + ".js";
        let target = out.join(&name);
        fs::write(&target, strip_types(source)).expect("OUT_DIR is writable");
        table.push_str(&format!("    ({name:?}, include_str!({:?})),\n", target.display().to_string()));
    }
    // The files are ES modules; without this Node would guess from the nearest package.json of the user's project.
    table.push_str("    (\"package.json\", \"{\\\"type\\\":\\\"module\\\"}\\n\"),\n];\n");
    fs::write(out.join("runtime_files.rs"), table).expect("OUT_DIR is writable");
}

/// Removes types and rewrites `./x.ts` imports to `./x.js`.
fn strip_types(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a listed file can be read");
    let allocator = Allocator::default();
    let parsed = Parser::new(&allocator, &text, SourceType::ts()).parse();
    assert!(parsed.diagnostics.is_empty(), "{}: {:?}", path.display(), parsed.diagnostics);
    let mut program = parsed.program;
    let scoping = SemanticBuilder::new().with_excess_capacity(2.0).build(&program).semantic.into_scoping();
    let options = TransformOptions {
        typescript: TypeScriptOptions {
            rewrite_import_extensions: Some(RewriteExtensionsMode::Rewrite),
            ..TypeScriptOptions::default()
        },
        ..TransformOptions::default()
    };
    let transformed = Transformer::new(&allocator, path, &options).build_with_scoping(scoping, &mut program);
    assert!(transformed.diagnostics.is_empty(), "{}: {:?}", path.display(), transformed.diagnostics);
    Codegen::new().build(&program).code
}
