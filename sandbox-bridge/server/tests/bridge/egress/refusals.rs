//! What does not get out, byte by byte: hosts, addresses, ports, names that lead inside, fronting, smuggling, methods.

use super::{PLAIN, SECURE, Scene, Wishes, everything, reason, status};
use crate::support::edge::FakeEdge;
use crate::support::origin::Seen;
use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use protocol::error::ErrorCode;
use std::net::IpAddr;
use tokio::io::AsyncWriteExt;

/// Every spelling of a place that is not allowed ends here, and nothing is connected to.
#[tokio::test]
async fn no_spelling_of_a_foreign_host_gets_through() {
    let scene = Scene::start().await;
    let (secure, plain) = (scene.secure.port, scene.plain.port);
    for (host, port, expected) in [
        ("evil.example", 443, "host_not_allowed"),
        ("evilsecure.example", secure, "host_not_allowed"),
        ("secure.example.evil.example", secure, "host_not_allowed"),
        ("a.secure.example", secure, "host_not_allowed"),
        ("secure.example", 22, "port_not_allowed"),
        ("secure.example", 25, "port_not_allowed"),
        ("SECURE.Example.", 443, "port_not_allowed"),
        ("127.0.0.1", plain, "address_not_name"),
        ("127.1", plain, "address_not_name"),
        ("0177.0.0.1", plain, "address_not_name"),
        ("0x7f.1", plain, "address_not_name"),
        ("2130706433", plain, "address_not_name"),
        ("127.0.0.1.", plain, "address_not_name"),
        ("[::1]", plain, "address_not_name"),
        ("[::ffff:127.0.0.1]", plain, "address_not_name"),
        ("[::ffff:7f00:1]", plain, "address_not_name"),
        ("169.254.169.254", 80, "address_not_name"),
        ("localhost", plain, "host_not_allowed"),
        ("xn--secure-9za.example", secure, "host_not_allowed"),
        ("secure.example%00.evil.example", secure, ""),
        ("secure.example..", secure, "host_malformed"),
        ("user@secure.example", secure, "host_malformed"),
        ("secure.example", 0, "host_malformed"),
        ("", 443, "host_malformed"),
    ] {
        let tunnel = scene.raw(format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        let request = format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        let request = scene.raw(request.as_bytes()).await;
        for answer in [tunnel, request] {
            assert!(matches!(status(&answer), 400 | 403), "{host}:{port}: {answer}");
            // What is no request at all is refused before there is a reason.
            assert!(reason(&answer) == expected || reason(&answer).is_empty(), "{host}:{port}: {answer}");
            assert_eq!(reason(&answer).is_empty(), !answer.contains("x-farhand-reason"), "{answer}");
        }
    }
    for bytes in [
        "CONNECT sécure.example:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT secure.example HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT http://secure.example:443/ HTTP/1.1\r\nHost: x\r\n\r\n",
        "CONNECT /run/farhand/socket HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET https://secure.example/ HTTP/1.1\r\nHost: secure.example\r\n\r\n",
        "GET ftp://secure.example/ HTTP/1.1\r\nHost: secure.example\r\n\r\n",
        "GET unix:/run/x.sock HTTP/1.1\r\nHost: secure.example\r\n\r\n",
    ] {
        let answer = scene.raw(bytes.as_bytes()).await;
        assert!(matches!(status(&answer), 400 | 403 | 401), "{bytes}: {answer}");
    }
    assert_eq!((scene.secure.accepted(), scene.plain.accepted()), (0, 0));
    scene.until_reported("host_not_allowed").await;
}

#[tokio::test]
async fn a_refusal_says_what_to_do_in_every_place_where_clients_look() {
    let scene = Scene::start().await;
    let answer = scene.raw(b"CONNECT Evil.Example:443 HTTP/1.1\r\nHost: Evil.Example:443\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 403 host_not_allowed\r\n"), "{answer}");
    assert!(answer.contains("x-farhand-reason: host_not_allowed\r\n"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!((&body["host"], &body["port"]), (&"evil.example".into(), &443.into()));
    assert!(body["message"].as_str().unwrap().contains("--allow-host"), "{body}");
}

#[tokio::test]
async fn a_name_that_begins_to_lead_inside_is_refused_at_its_next_use() {
    let scene = Scene::start().await;
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    let metadata: IpAddr = "169.254.169.254".parse().unwrap();
    scene.names.set(PLAIN, &[&[local], &[metadata], &[metadata, local]]);
    let authority = format!("{PLAIN}:{}", scene.plain.port);
    let request =
        format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    assert_eq!(status(&scene.raw(request.as_bytes()).await), 200);
    let answer = scene.raw(request.as_bytes()).await;
    assert_eq!((status(&answer), reason(&answer).as_str()), (403, "address_not_public"), "{answer}");
    // Among several addresses only the good ones are connected to.
    assert_eq!(status(&scene.raw(request.as_bytes()).await), 200);
    assert_eq!(scene.plain.accepted(), 2);
    let answer = scene.raw(b"CONNECT nowhere.example:443 HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(reason(&answer), "host_not_allowed");
}

#[tokio::test]
async fn a_public_name_does_not_lead_to_loopback_private_or_metadata_addresses() {
    let scene = Scene::start_with(Wishes {
        policy: r#"{"allow_hosts": ["other.example:{plain}"]}"#,
        ..Wishes::default()
    })
    .await;
    let target = format!("other.example:{}", scene.plain.port);
    for address in [
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "10.0.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "fd00::1",
        "fe80::1",
        "64:ff9b::7f00:1",
        "0.0.0.0",
        "224.0.0.1",
    ] {
        scene.names.set("other.example", &[&[address.parse().unwrap()]]);
        let (head, _) = scene.connect(&target).await;
        assert!(head.starts_with("HTTP/1.1 403 address_not_public"), "{address}: {head}");
    }
    assert_eq!(scene.plain.accepted(), 0);
    scene.until_reported("address_not_public").await;
}

#[tokio::test]
async fn a_redirect_is_the_clients_next_request_and_checked_like_one() {
    let router = Router::new()
        .route("/", get(async || Redirect::temporary("http://169.254.169.254/latest/meta-data")));
    let scene = Scene::start_with(Wishes { router: Some(router), ..Wishes::default() }).await;
    let proxy = reqwest::Proxy::all(format!("http://{}", scene.place.url)).unwrap();
    let http = reqwest::Client::builder().proxy(proxy).build().unwrap();
    let answer = http.get(format!("http://{PLAIN}:{}/", scene.plain.port)).send().await.unwrap();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.headers()["x-farhand-reason"], "address_not_name");
}

#[tokio::test]
async fn tls_for_another_host_than_the_tunnels_is_cut() {
    let scene = Scene::start().await;
    let authority = scene.secure_authority();
    let error = scene.secure_connect(&authority, "front.example").await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    scene.until_reported("tls_name_differs").await;
    // An address in place of a name is sent without SNI.
    let error = scene.secure_connect(&authority, "127.0.0.1").await.unwrap_err();
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    scene.until_reported("tls_name_missing").await;
    for opening in
        [&b"SSH-2.0-OpenSSH_9\r\n"[..], b"\x00\x00\x00", b"EHLO x\r\n", b"\x16\x03\x01\x00\x05hello"]
    {
        let (_, mut stream) = scene.connect(&authority).await;
        stream.write_all(opening).await.unwrap();
        stream.shutdown().await.unwrap();
        let answer = everything(&mut stream).await;
        assert!(answer.is_empty() || status(&answer) == 400, "{answer}");
    }
    scene.until_reported("not_tls").await;
    assert!(scene.secure.seen().is_empty());
}

#[tokio::test]
async fn requests_that_can_be_read_in_two_ways_do_not_reach_a_host() {
    let scene = Scene::start().await;
    let host = format!("{PLAIN}:{}", scene.plain.port);
    let line = format!("POST http://{host}/ HTTP/1.1\r\n");
    let own = format!("Host: {host}\r\n");
    for (bytes, statuses) in [
        (format!("{line}\r\n"), vec![400]),
        (format!("{line}{own}Host: evil.example\r\n\r\n"), vec![400, 403]),
        (format!("{line}Host: evil.example\r\n\r\n"), vec![403]),
        (format!("{line}{own}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx"), vec![400]),
        (format!("{line}{own}Content-Length: +1\r\n\r\nx"), vec![400]),
        (format!("{line}{own}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"), vec![400]),
        (format!("{line}{own}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"), vec![400]),
        (format!("{line}{own}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), vec![400]),
        (format!("{line}{own}X: a\r\n folded\r\n\r\n"), vec![400]),
        (format!("{line}{own}X: a\0b\r\n\r\n"), vec![400]),
        (format!("{line} {own}\r\n"), vec![400]),
        (format!("{line}{own}X: {}\r\n\r\n", "x".repeat(1 << 20)), vec![431]),
        (format!("GET http://{host}/{} HTTP/1.1\r\n{own}\r\n", "x".repeat(1 << 20)), vec![414, 431]),
        (format!("GET http://{host}/ HTTP/3.0\r\n{own}\r\n"), vec![400, 505]),
        (format!("{line}{own}Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), vec![403]),
    ] {
        let answer = scene.raw(bytes.as_bytes()).await;
        let short = bytes.get(..200).unwrap_or(&bytes);
        assert!(
            statuses.contains(&status(&answer)) || answer.is_empty() && bytes.len() > 1 << 20,
            "{short:?}: {answer}"
        );
    }
    assert_eq!(scene.plain.accepted(), 0);

    // Of two opinions about the length one goes on, and the connection ends with it.
    let smuggled = format!(
        "POST http://{host}/a HTTP/1.1\r\n{own}Content-Length: 60\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET http://evil.example/b HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    );
    let answer = scene.raw(smuggled.as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    let seen = scene.plain.seen();
    let framed =
        |seen: &Seen| ["content-length", "transfer-encoding"].map(|name| seen.headers.contains_key(name));
    assert_eq!(
        seen.iter().map(|seen| (seen.uri.as_str(), framed(seen))).collect::<Vec<_>>(),
        [("/a", [false, true])]
    );
}

#[tokio::test]
async fn where_only_reading_is_allowed_nothing_else_passes_inside_or_outside_of_tls() {
    let policy = r#"{"read_only_hosts": ["secure.example:{secure}", "plain.example:{plain}"]}"#;
    let scene = Scene::start_with(Wishes { policy, ..Wishes::default() }).await;
    let plain_host = format!("{PLAIN}:{}", scene.plain.port);
    let end = "Connection: close\r\n\r\n";
    for (method, query, header, expected) in [
        ("GET", "", "X-Any: 1", ""),
        ("HEAD", "", "X-Any: 1", ""),
        ("POST", "", "Content-Length: 0", "read_only"),
        ("DELETE", "", "X-Any: 1", "read_only"),
        ("GET", "", "X-HTTP-Method-Override: POST", "read_only"),
        ("GET", "?_method=POST", "X-Any: 1", "read_only"),
        ("GET", "", "Upgrade: websocket", "upgrade_refused"),
    ] {
        let inside = format!(
            "{method} /{query} HTTP/1.1\r\nHost: {SECURE}:{}\r\n{header}\r\n{end}",
            scene.secure.port
        );
        let outside = format!(
            "{method} http://{plain_host}/{query} HTTP/1.1\r\nHost: {plain_host}\r\n{header}\r\n{end}"
        );
        for answer in [scene.secure_ask(&inside).await, scene.raw(outside.as_bytes()).await] {
            assert_eq!(reason(&answer), expected, "{method} {header}: {answer}");
            assert_eq!(status(&answer), if expected.is_empty() { 200 } else { 403 }, "{method} {header}");
        }
    }
    let seen = [scene.secure.seen(), scene.plain.seen()].concat();
    assert!(seen.iter().all(|seen| matches!(seen.method.as_str(), "GET" | "HEAD")) && seen.len() == 4);
    // The host must be the connection's inside of TLS as well.
    let answer = scene.secure_ask(&format!("GET / HTTP/1.1\r\nHost: front.example\r\n{end}")).await;
    assert_eq!(reason(&answer), "host_header_differs");
    let answer = scene
        .secure_ask(&format!(
            "GET https://front.example/ HTTP/1.1\r\nHost: {SECURE}:{}\r\n{end}",
            scene.secure.port
        ))
        .await;
    assert_eq!(reason(&answer), "host_header_differs");
    let answer =
        scene.secure_ask(&format!("CONNECT evil.example:443 HTTP/1.1\r\nHost: {SECURE}\r\n{end}")).await;
    assert_eq!(reason(&answer), "request_malformed");
}

#[tokio::test]
async fn refusals_are_told_to_the_session_counted_and_not_too_often() {
    let edge = FakeEdge::start().await;
    let scene = Scene::start_with(Wishes { edge: Some(edge), ..Wishes::default() }).await;
    scene.stack.edge.change(|session| session.down = Some(ErrorCode::Unavailable));
    for _ in 0..3 {
        scene.connect("evil.example:443").await;
    }
    scene.stack.edge.change(|session| session.down = None);
    scene.until_reported("host_not_allowed").await;
    for _ in 0..4 {
        scene.connect("evil.example:443").await;
    }
    scene.connect("worse.example:443").await;
    let expected = [("evil.example", 7), ("worse.example", 1)];
    let expected = expected.map(|(host, count)| (host.to_owned(), 443, "host_not_allowed".to_owned(), count));
    scene
        .stack
        .edge
        .until("both hosts", |session| {
            session
                .egress
                .iter()
                .flat_map(|(_, report)| &report.denials)
                .any(|denial| denial.host == "worse.example")
        })
        .await;
    assert_eq!(scene.reported(), expected);
    let times = scene.stack.edge.read(|session| session.egress.iter().map(|(at, _)| *at).collect::<Vec<_>>());
    assert!(times.windows(2).all(|pair| (pair[1] - pair[0]).as_millis() >= 990), "{times:?}");
    let report = scene.stack.edge.read(|session| session.egress[0].1.clone());
    assert_eq!((report.sandbox_id, report.generation), (scene.place.record.sandbox_id.clone(), 1));
}

#[tokio::test]
async fn without_a_door_of_its_own_a_sandbox_has_no_proxy() {
    let scene = Scene::start_with(Wishes { doors_are_open: true, ..Wishes::default() }).await;
    let (head, _) = scene.connect(&scene.secure_authority()).await;
    assert!(head.starts_with("HTTP/1.1 403 no_proxy"), "{head}");
    assert_eq!(scene.secure.accepted(), 0);
}

#[tokio::test]
async fn trouble_on_the_way_is_told_apart_from_policy() {
    let policy = r#"{"allow_hosts": ["gone.example"]}"#;
    let scene = Scene::start_with(Wishes { policy, ..Wishes::default() }).await;
    let (head, _) = scene.connect("gone.example:443").await;
    assert!(head.starts_with("HTTP/1.1 502 host_unknown"), "{head}");
    scene.names.set("gone.example", &[&[]]);
    let (head, _) = scene.connect("gone.example:443").await;
    assert!(head.starts_with("HTTP/1.1 502 host_unknown"), "{head}");
    let request = b"GET http://gone.example/ HTTP/1.1\r\nHost: gone.example\r\nConnection: close\r\n\r\n";
    let answer = scene.raw(request).await;
    assert_eq!((status(&answer), reason(&answer).as_str()), (502, "host_unknown"));
    // Only the client hears of these.
    assert_eq!(scene.stack.bridge.egress(&scene.place.record.sandbox_id).unwrap().denials, 3);
    assert!(scene.reported().is_empty());
}
