//! Each fault of the proxy, seen from the client that meets it.

use super::*;
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server that says everything back.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
        }
    });
    port
}

/// An HTTP server that answers each request with how many it has had.
async fn counter() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counted = Arc::clone(&counted);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while let Ok(1..) = stream.read(&mut request).await {
                    let body = (counted.fetch_add(1, Ordering::SeqCst) + 1).to_string();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (port, count)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.url().trim_start_matches("http://")).await.unwrap()
}

async fn read_until_end(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).await;
    (bytes, end.err().map(|error| error.kind()))
}

#[tokio::test]
async fn bytes_pass_both_ways_until_the_connection_is_cut() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    for (cut, end) in [(Cut::Reset, Some(ErrorKind::ConnectionReset)), (Cut::Finish, None)] {
        let mut stream = connect(&proxy).await;
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
        proxy.cut(cut);
        assert_eq!(read_until_end(&mut stream).await, (Vec::new(), end));
        proxy.until("the end", |counts| counts.open == 0).await.unwrap();
    }
    assert_eq!(proxy.counts().accepted, 2);
}

#[tokio::test]
async fn a_connection_ends_after_the_very_byte() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.cut_next([CutAfter { direction: Direction::Down, bytes: 3, cut: Cut::Finish }]);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read_until_end(&mut stream).await, (b"hel".to_vec(), None));
    assert_eq!((proxy.counts().cut, proxy.cuts_left()), (1, 0));
    let mut stream = connect(&proxy).await;
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
}

#[tokio::test]
async fn a_held_connection_says_nothing_and_goes_on_when_released() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    stream.write_all(b"a").await.unwrap();
    stream.read_exact(&mut [0; 1]).await.unwrap();
    proxy.hold();
    stream.write_all(b"b").await.unwrap();
    let mut back = [0; 1];
    let silence = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut back)).await;
    assert!(silence.is_err(), "{silence:?}");
    proxy.release();
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"b");
}

#[tokio::test]
async fn a_shut_door_resets_and_a_black_hole_swallows() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set_door(Door::Shut);
    let mut stream = connect(&proxy).await;
    let (bytes, end) = read_until_end(&mut stream).await;
    assert_eq!((bytes.len(), end), (0, Some(ErrorKind::ConnectionReset)));
    proxy.set_door(Door::BlackHole);
    let mut stream = connect(&proxy).await;
    stream.write_all(b"anybody?").await.unwrap();
    proxy.until("the hole", |counts| counts.swallowed == 1).await.unwrap();
    proxy.cut(Cut::Reset);
    assert_eq!(read_until_end(&mut stream).await.1, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_limited_connection_takes_its_time() {
    let proxy = Proxy::start(echo().await).await.unwrap();
    proxy.set_pace(Pace { delay: Duration::ZERO, bytes_per_second: Some(10_000) });
    let mut stream = connect(&proxy).await;
    let began = Instant::now();
    stream.write_all(&[7; 2000]).await.unwrap();
    let mut back = [0; 2000];
    stream.read_exact(&mut back).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
}

#[tokio::test]
async fn what_a_lost_answer_was_about_has_happened() {
    let (port, count) = counter().await;
    let proxy = Proxy::start(port).await.unwrap();
    proxy.add_rule(Rule::new("POST", "/events", Then::LoseAnswer).times(1));
    proxy.add_rule(Rule::new("POST", "/events", Then::LoseRequest).times(1));
    let answer = Then::Answer { status: 503, body: r#"{"code":"unavailable"}"#.to_owned() };
    proxy.add_rule(Rule::new("PUT", "/snapshots/", answer));
    let http = reqwest::Client::new();
    let events = format!("{}/api/events", proxy.url());

    assert!(http.post(&events).body("x").send().await.is_err());
    assert_eq!((count.load(Ordering::SeqCst), proxy.counts().lost_answers), (1, 1));
    assert!(http.post(&events).body("x").send().await.is_err());
    assert_eq!((count.load(Ordering::SeqCst), proxy.counts().lost_requests), (1, 1));
    assert_eq!(http.post(&events).body("x").send().await.unwrap().text().await.unwrap(), "2");

    let own =
        http.put(format!("{}/snapshots/1", proxy.url())).body(vec![b'x'; 200_000]).send().await.unwrap();
    assert_eq!(
        (own.status().as_u16(), own.text().await.unwrap().as_str()),
        (503, r#"{"code":"unavailable"}"#)
    );
    assert_eq!(count.load(Ordering::SeqCst), 2);
    assert_eq!(proxy.requests().len(), 4, "{:?}", proxy.requests());
}

#[tokio::test]
async fn a_held_answer_comes_when_it_is_released() {
    let (port, count) = counter().await;
    let proxy = Proxy::start(port).await.unwrap();
    proxy.add_rule(Rule::new("GET", "/x", Then::HoldAnswer).times(1));
    let url = format!("{}/x", proxy.url());
    let answer = tokio::spawn(async move { reqwest::get(url).await.unwrap().text().await.unwrap() });
    proxy.until("the answer", |counts| counts.held_answers == 1).await.unwrap();
    assert_eq!(count.load(Ordering::SeqCst), 1);
    assert!(!answer.is_finished());
    proxy.release();
    assert_eq!(answer.await.unwrap(), "1");
}
