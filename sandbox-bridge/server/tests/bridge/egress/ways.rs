//! What gets out: tunnels with TLS from end to end, plain requests, plain requests in tunnels; counted.

use super::{PLAIN, SECURE, Scene, Wishes, ask, everything, head_of, reason, status};
use crate::support::order;
use axum::Router;
use axum::routing::any;
use protocol::id::SandboxId;
use sandbox_bridge::gateway::egress::EgressCounts;
use tokio::io::AsyncWriteExt;

#[tokio::test]
async fn tls_to_an_allowed_host_is_the_hosts_own_from_end_to_end() {
    let scene = Scene::start().await;
    let mut stream = scene.secure_connect(&scene.secure_authority(), SECURE).await.unwrap();
    let peer = stream.get_ref().1.peer_certificates().unwrap().to_vec();
    let answer =
        ask(&mut stream, &format!("GET /x HTTP/1.1\r\nHost: {SECURE}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("there"), "{answer}");
    // Not one of the bridge's own: its leaves have the host as common name.
    assert!(
        !peer[0].windows(SECURE.len() + 2).any(|window| window[2..] == *SECURE.as_bytes() && window[0] == 12)
    );
    assert_eq!(scene.secure.seen()[0].uri, "/x");
    assert!(scene.reported().is_empty());
}

#[tokio::test]
async fn plain_requests_pass_one_by_one_without_what_is_about_the_connection() {
    let scene = Scene::start().await;
    let authority = format!("{PLAIN}:{}", scene.plain.port);
    let mut stream = scene.dial().await;
    let request = format!(
        "GET http://{authority}/a?b=c HTTP/1.1\r\nHost: {authority}\r\nProxy-Connection: keep-alive\r\n\
         Proxy-Authorization: Basic eDp5\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-Kept: 1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head_of(&mut stream).await.starts_with("HTTP/1.1 200 OK"));
    let again = format!(
        "there: POST http://{authority}/again HTTP/1.1\r\nHost: {authority}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbody"
    );
    let answer = ask(&mut stream, again.trim_start_matches("there: ")).await;
    assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
    let seen = scene.plain.seen();
    assert_eq!(seen.iter().map(|seen| seen.uri.as_str()).collect::<Vec<_>>(), ["/a?b=c", "/again"]);
    for name in ["proxy-connection", "proxy-authorization", "connection", "x-hop"] {
        assert!(!seen[0].headers.contains_key(name), "{name}");
    }
    assert_eq!(
        (&seen[0].headers["x-kept"], &seen[0].headers["host"]),
        (&"1".parse().unwrap(), &authority.parse().unwrap())
    );
}

#[tokio::test]
async fn a_plain_request_in_a_tunnel_is_checked_like_one_outside() {
    let scene = Scene::start().await;
    let authority = format!("{PLAIN}:{}", scene.plain.port);
    let (head, mut stream) = scene.connect(&authority).await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    let answer =
        ask(&mut stream, &format!("GET /x HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.ends_with("there"), "{answer}");
    let (_, mut stream) = scene.connect(&authority).await;
    let answer = ask(&mut stream, "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n").await;
    assert_eq!((status(&answer), reason(&answer).as_str()), (403, "host_header_differs"), "{answer}");
    assert_eq!(scene.plain.seen().len(), 1);
}

#[tokio::test]
async fn what_flows_is_counted_for_each_sandbox() {
    let scene = Scene::start().await;
    let answer =
        scene.secure_ask(&format!("GET / HTTP/1.1\r\nHost: {SECURE}\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.ends_with("there"), "{answer}");
    scene.connect("evil.example:443").await;
    let counts = scene.stack.bridge.egress(&scene.place.record.sandbox_id).unwrap();
    assert_eq!((counts.connections, counts.denials), (1, 1));
    assert!(counts.sent_bytes > 300 && counts.received_bytes > 500, "{counts:?}");
    let other = scene.stack.create(&order("2", 1)).await;
    assert_eq!(scene.stack.bridge.egress(&other), Some(EgressCounts::default()));
    assert_eq!(scene.stack.bridge.egress(&SandboxId::parse("sbx_none").unwrap()), None);
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let router = Router::new()
        .fallback(any(async |body: axum::body::Bytes| body))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let scene = Scene::start_with(Wishes { router: Some(router), ..Wishes::default() }).await;
    let mut body = vec![0; 5_000_000];
    for (at, byte) in body.iter_mut().enumerate() {
        *byte = (at.wrapping_mul(2_654_435_761) >> 9) as u8;
    }
    let proxy = reqwest::Proxy::all(format!("http://{}", scene.place.url)).unwrap();
    let root = reqwest::Certificate::from_der(&scene.authority.der()).unwrap();
    let http = reqwest::Client::builder().proxy(proxy).add_root_certificate(root).build().unwrap();
    for url in
        [format!("https://{}/", scene.secure_authority()), format!("http://{PLAIN}:{}/", scene.plain.port)]
    {
        let answer = http.post(&url).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{url}");
        assert!(answer.bytes().await.unwrap() == body, "{url}");
        let chunks = futures::stream::iter(
            body.chunks(70_000).map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec())).collect::<Vec<_>>(),
        );
        let answer = http.post(&url).body(reqwest::Body::wrap_stream(chunks)).send().await.unwrap();
        assert!(answer.bytes().await.unwrap() == body, "{url} in chunks");
    }
}

#[tokio::test]
async fn the_runner_and_the_gateways_are_where_they_were() {
    let scene = Scene::start().await;
    let answer =
        scene.raw(b"GET /model/none/models HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&answer), 401, "{answer}");
    let mut stream = scene.dial().await;
    stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_eq!(status(&everything(&mut stream).await), 401);
}
