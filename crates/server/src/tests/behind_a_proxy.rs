//! What changes with a proxy in front: paths, addresses, limits.

use axum::http::{HeaderName, Method};

use super::fixture::Fixture;
use super::socket::TestSocket;

fn below_base(config: &mut crate::ServerConfig) {
    config.api_origin = "https://a.example/base".to_owned();
    config.site_origin = "https://a.example/base/http".to_owned();
}

#[tokio::test]
async fn requests_below_the_path_of_the_origin_are_answered_with_and_without_it() {
    let server = Fixture::with(below_base).await;
    for path in ["/base/version", "/version", "/base//version"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/based/version").await.status, 404);
    let seen = server.get("/base/http/a?x=1").await.json();
    assert_eq!(seen["url"], "http://test.example/a?x=1");
}

#[tokio::test]
async fn sockets_open_below_the_path_of_the_origin() {
    let server = Fixture::listening_with(below_base).await;
    for path in ["/base/api/1.48.0/sync", "/base//api/1.48.0/sync", "/base/api/sync"] {
        let mut socket = TestSocket::open_at(server.addr(), path).await;
        assert!(socket.first_is_ping().await, "{path}");
    }
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_and_an_admin_is_not() {
    let server = Fixture::with(|config| {
        config.rate_limit = std::num::NonZeroU32::new(1);
        config.client_ip_header = Some(HeaderName::from_static("x-forwarded-for"));
    })
    .await;
    let from = |address: &str| server.request(Method::GET, "/version").header("x-forwarded-for", address);
    let mut refused = None;
    for _ in 0..20 {
        let answer = from("1.2.3.4").send().await;
        if answer.status != 200 {
            refused = Some(answer);
        }
    }
    let refused = refused.expect("nothing was refused");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (429, "TooManyRequests"));
    // What a client writes before what the proxy appends says nothing.
    assert_eq!(from("9.9.9.9, 1.2.3.4").send().await.status, 429);
    assert_eq!(from("1.2.3.5").send().await.status, 200);
    for _ in 0..20 {
        assert_eq!(from("1.2.3.4").admin(&server.admin_key()).send().await.status, 200);
    }
    assert_eq!(from("1.2.3.4").admin(&server.key_of_another_instance()).send().await.status, 429);
}
