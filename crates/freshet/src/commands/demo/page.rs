//! The page of the chat: built with the server's URLs in it, then served from here, so that no other process is needed.

use std::fs;
use std::io;
use std::path::{self, Path, PathBuf};

use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderValue, header};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;

use super::packages::npm_command;
use super::step::Steps;
use crate::checkout::Checkout;
use crate::settings::ListenSettings;

/// Folders of the app whose content does not go into the page, or comes out of its build.
const NOT_SOURCES: [&str; 3] = ["node_modules", "dist", "test"];

/// Builds the page unless the one that is there was built from the same files for the same URLs. Returns its folder,
/// which lies in the data directory: another demonstration from the same checkout has other URLs in its page.
pub(super) async fn build(
    steps: &Steps,
    checkout: &Checkout,
    npm: &Path,
    listen: &ListenSettings,
    data: &Path,
) -> Result<PathBuf> {
    const TITLE: &str = "Building the page";
    let app = checkout.chat();
    let data = path::absolute(data).with_context(|| format!("finding {}", data.display()))?;
    let page = data.join("page");
    let stamp_file = data.join("page.stamp");
    let packages = fs::read_to_string(checkout.package_lock()).unwrap_or_default();
    let stamp = fingerprint(&app, &[&listen.api_origin, &listen.site_origin, &packages])
        .with_context(|| format!("reading {}", app.display()))?;
    let built = page.join("index.html").is_file()
        && fs::read_to_string(&stamp_file).is_ok_and(|previous| previous == stamp);
    if built {
        steps.skip(TITLE, "up to date");
        return Ok(page);
    }
    // What the stamp speaks of is gone as soon as the build begins, and the build may not get to its end.
    forget(&stamp_file).with_context(|| format!("cannot remove {}", stamp_file.display()))?;
    let mut command = npm_command(
        npm,
        checkout,
        &["run", "build", "-w", "examples/chat", "--", "--emptyOutDir", "--outDir"],
    );
    command.arg(&page);
    command.env("VITE_CONVEX_URL", &listen.api_origin).env("VITE_CONVEX_SITE_URL", &listen.site_origin);
    steps.command(TITLE, command, "`npm ci` at the top of the checkout, then run this again").await?;
    fs::write(&stamp_file, stamp)
        .with_context(|| format!("cannot note the build in {}", stamp_file.display()))?;
    Ok(page)
}

fn forget(stamp_file: &Path) -> io::Result<()> {
    match fs::remove_file(stamp_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Serves the page until cancelled.
pub(super) async fn serve(listener: TcpListener, page: PathBuf) -> Result<()> {
    let always_ask = SetResponseHeaderLayer::overriding(
        header::CACHE_CONTROL,
        // A page that was rebuilt for other URLs must not be answered from the browser's cache.
        HeaderValue::from_static("no-cache"),
    );
    let router = Router::new().fallback_service(ServeDir::new(page)).layer(always_ask);
    axum::serve(listener, router).await.context("serving the page")
}

/// A digest of the files below `folder`, their names, and `settings`.
fn fingerprint(folder: &Path, settings: &[&str]) -> io::Result<String> {
    let mut digest = Sha256::new();
    for setting in settings {
        digest.update(setting.as_bytes());
        digest.update([0]);
    }
    for path in sources(folder)? {
        let content = fs::read(&path)?;
        digest.update(path.strip_prefix(folder).unwrap_or(&path).as_os_str().as_encoded_bytes());
        digest.update([0]);
        digest.update((content.len() as u64).to_be_bytes());
        digest.update(content);
    }
    Ok(hex::encode(digest.finalize()))
}

/// The files below `folder` in a fixed order. Links are not followed.
fn sources(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_file() {
                files.push(entry.path());
            } else if kind.is_dir() && !NOT_SOURCES.iter().any(|name| entry.file_name() == *name) {
                folders.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_sources_and_urls_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path();
        fs::create_dir_all(app.join("src")).unwrap();
        fs::create_dir_all(app.join("dist")).unwrap();
        fs::write(app.join("src/a.ts"), "1").unwrap();
        let first = fingerprint(app, &["http://a"]).unwrap();
        fs::write(app.join("dist/index.html"), "built").unwrap();
        assert_eq!(fingerprint(app, &["http://a"]).unwrap(), first);
        assert_ne!(fingerprint(app, &["http://b"]).unwrap(), first);
        fs::write(app.join("src/a.ts"), "2").unwrap();
        let second = fingerprint(app, &["http://a"]).unwrap();
        assert_ne!(second, first);
        fs::rename(app.join("src/a.ts"), app.join("src/b.ts")).unwrap();
        assert_ne!(fingerprint(app, &["http://a"]).unwrap(), second);
    }

    #[tokio::test]
    async fn the_page_is_served_and_never_cached_unasked() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("index.html"), "<p>hello</p>").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, folder.path().to_owned()));
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("<p>hello</p>"), "{answer}");
        assert!(answer.contains("cache-control: no-cache"), "{answer}");
        server.abort();
    }
}
