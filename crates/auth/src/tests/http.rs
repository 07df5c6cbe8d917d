//! The real client against a small real server.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use url::Url;

use crate::{Fetch, FetchError, Fetched, HttpFetch};

/// A server that answers each path as `answer` says, and the URL of its root.
async fn serve(answer: impl Fn(&str, &str) -> String + Send + Sync + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}/", listener.local_addr().unwrap());
    let (answer, origin) = (Arc::new(answer), root.trim_end_matches('/').to_owned());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (answer, origin) = (answer.clone(), origin.clone());
            tokio::spawn(async move {
                let mut request = vec![0; 8192];
                let read = socket.read(&mut request).await.unwrap_or(0);
                let text = String::from_utf8_lossy(&request[..read]).into_owned();
                let path = text.split(' ').nth(1).unwrap_or("/").to_owned();
                let _ = socket.write_all(answer(&path, &origin).as_bytes()).await;
            });
        }
    });
    root.parse().unwrap()
}

fn ok(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

async fn get(root: &Url, path: &str) -> Result<Fetched, FetchError> {
    HttpFetch::default().get(&root.join(path).unwrap()).await
}

#[tokio::test]
async fn an_answer_comes_with_what_decides_how_long_it_is_good() {
    let root =
        serve(|_, _| ok("content-type: application/json\r\ncache-control: max-age=5\r\nage: 3\r\n", "{}"))
            .await;
    let fetched = get(&root, "/keys").await.unwrap();
    assert_eq!(
        (fetched.status, fetched.content_type.as_deref(), fetched.cache_control.as_deref()),
        (200, Some("application/json"), Some("max-age=5"))
    );
    assert_eq!((fetched.age.as_secs(), fetched.body), (3, b"{}".to_vec()));
}

#[tokio::test]
async fn a_few_redirects_are_followed_and_no_more() {
    let root = serve(|path, origin| match path {
        "/end" => ok("", "here"),
        "/once" => format!("HTTP/1.1 302 Found\r\nlocation: {origin}/end\r\ncontent-length: 0\r\n\r\n"),
        _ => format!("HTTP/1.1 302 Found\r\nlocation: {origin}/again\r\ncontent-length: 0\r\n\r\n"),
    })
    .await;
    assert_eq!(get(&root, "/once").await.unwrap().body, b"here");
    let error = get(&root, "/again").await.unwrap_err();
    assert!(
        matches!(&error, FetchError::Unacceptable(text) if text.contains("redirects too often")),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read_to_its_end() {
    let root = serve(|_, _| ok("", &"x".repeat(600 << 10))).await;
    let error = get(&root, "/").await.unwrap_err();
    assert!(matches!(&error, FetchError::Unacceptable(text) if text.contains("larger than")), "{error:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_may_be_there_later() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert!(matches!(get(&root, "/").await, Err(FetchError::Unreachable(_))));
    // An answer that breaks off is no answer.
    let root = serve(|_, _| "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf".to_owned()).await;
    assert!(matches!(get(&root, "/").await, Err(FetchError::Unreachable(_))));
}
