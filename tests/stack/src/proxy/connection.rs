//! One connection through the proxy: two pumps, and whatever was ordered to go wrong with them.

use super::rule::{missing_bytes, request_line};
use super::{Cut, CutAfter, Direction, Door, Pace, Shared, Then};
use protocol::sign::{ANSWER_HEADER, Audience, BridgeKeys, sign_answer, verify_request};
use protocol::time::Timestamp;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};

const PIECE_BYTES: usize = 64 * 1024;
/// A limited connection passes this many pieces in a second.
const PIECES_PER_SECOND: u64 = 20;

/// Whether bytes move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Pass,
    Hold,
    Cut(Cut),
}

/// How a pump ended.
enum End {
    /// Its source has nothing more; the other direction may go on.
    Finished,
    /// The whole connection is to end.
    Cut(Cut),
}

/// One connection, before its pumps run.
pub(super) struct Connection {
    shared: Arc<Shared>,
    flow: watch::Receiver<Flow>,
    cut: Option<CutAfter>,
    /// Whether the next bytes up begin a request, because the one before was answered.
    is_fresh: AtomicBool,
}

/// What one pump tells the other of the request that it has just read.
struct Orders {
    /// What is to happen with the server's answer.
    verdicts: mpsc::Sender<Verdict>,
    /// The proxy's own answer.
    answers: mpsc::Sender<Vec<u8>>,
}

enum Verdict {
    Lose,
    Hold,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, flow: watch::Receiver<Flow>, cut: Option<CutAfter>) -> Self {
        Self { shared, flow, cut, is_fresh: AtomicBool::new(true) }
    }

    pub(super) async fn run(self, mut client: TcpStream, door: Door) {
        match door {
            Door::Open => {}
            Door::Shut => return end(Cut::Reset, [client]),
            Door::BlackHole => return self.swallow(client).await,
        }
        // Nobody there is what the client would have met without a proxy.
        let Ok(mut server) = TcpStream::connect(self.shared.upstream).await else {
            return end(Cut::Reset, [client]);
        };
        for stream in [&client, &server] {
            // Without it bytes only come later.
            let _ = stream.set_nodelay(true);
        }
        let ((verdicts, verdict), (answers, answer)) = (mpsc::channel(1), mpsc::channel(1));
        let cut = {
            let ((client_read, client_write), (server_read, server_write)) = (client.split(), server.split());
            let up = std::pin::pin!(self.pump_up(client_read, server_write, Orders { verdicts, answers }));
            let down = std::pin::pin!(self.pump_down(server_read, client_write, verdict, answer));
            match futures::future::select(up, down).await {
                futures::future::Either::Left((End::Finished, down)) => down.await,
                futures::future::Either::Right((End::Finished, up)) => up.await,
                futures::future::Either::Left((cut, _)) | futures::future::Either::Right((cut, _)) => cut,
            }
        };
        match cut {
            End::Cut(cut) => end(cut, [client, server]),
            End::Finished => {}
        }
    }

    async fn swallow(mut self, mut client: TcpStream) {
        self.shared.count(|counts| counts.swallowed += 1);
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            tokio::select! {
                read = client.read(&mut piece) => if !matches!(read, Ok(1..)) { return },
                cut = until_cut(&mut self.flow) => return end(cut, [client]),
            }
        }
    }

    async fn pump_up(&self, source: ReadHalf<'_>, sink: WriteHalf<'_>, orders: Orders) -> End {
        let mut pump = self.pump(Direction::Up, source, sink);
        loop {
            let piece = match pump.read().await {
                Ok(piece) => piece,
                Err(end) => return end,
            };
            let request =
                if self.is_fresh.swap(false, Ordering::AcqRel) { request_line(&piece) } else { None };
            let then = request.and_then(|(method, path)| self.shared.take_request(method, path));
            match then {
                None => {}
                Some(Then::LoseRequest) => {
                    self.shared.count(|counts| counts.lost_requests += 1);
                    return End::Cut(Cut::Reset);
                }
                // The channels are empty: the request before was answered.
                Some(Then::LoseAnswer) => drop(orders.verdicts.try_send(Verdict::Lose)),
                Some(Then::HoldAnswer) => drop(orders.verdicts.try_send(Verdict::Hold)),
                Some(then @ (Then::Answer { .. } | Then::AnswerAsBridge { .. })) => {
                    let mut request = piece.clone();
                    let mut missing = missing_bytes(&piece);
                    while missing > 0 {
                        match pump.read().await {
                            Ok(piece) => {
                                missing = missing.saturating_sub(piece.len() as u64);
                                request.extend_from_slice(&piece);
                            }
                            Err(end) => return end,
                        }
                    }
                    drop(orders.answers.try_send(render_answer(then, &request)));
                    continue;
                }
            }
            if let Err(end) = pump.write(&piece).await {
                return end;
            }
        }
    }

    async fn pump_down(
        &self,
        source: ReadHalf<'_>,
        sink: WriteHalf<'_>,
        mut verdicts: mpsc::Receiver<Verdict>,
        mut answers: mpsc::Receiver<Vec<u8>>,
    ) -> End {
        let mut pump = self.pump(Direction::Down, source, sink);
        loop {
            let piece = tokio::select! {
                biased;
                piece = pump.read() => match piece {
                    Ok(piece) => piece,
                    Err(end) => return end,
                },
                Some(answer) = answers.recv() => {
                    let written = pump.sink.write_all(&answer).await;
                    self.shared.count(|counts| counts.answered += 1);
                    return End::Cut(if written.is_ok() { Cut::Finish } else { Cut::Reset });
                }
            };
            match verdicts.try_recv() {
                Ok(Verdict::Lose) => {
                    self.shared.count(|counts| counts.lost_answers += 1);
                    return End::Cut(Cut::Reset);
                }
                Ok(Verdict::Hold) => {
                    self.shared.count(|counts| counts.held_answers += 1);
                    if let Err(end) = pump.held().await {
                        return end;
                    }
                }
                Err(_) => {}
            }
            self.is_fresh.store(true, Ordering::Release);
            if let Err(end) = pump.write(&piece).await {
                return end;
            }
        }
    }

    fn pump<'a>(&self, direction: Direction, source: ReadHalf<'a>, sink: WriteHalf<'a>) -> Pump<'a> {
        Pump {
            source,
            sink,
            flow: self.flow.clone(),
            pace: self.shared.pace.subscribe(),
            cut: self.cut.filter(|cut| cut.direction == direction),
            shared: Arc::clone(&self.shared),
        }
    }
}

/// One direction of a connection.
struct Pump<'a> {
    source: ReadHalf<'a>,
    sink: WriteHalf<'a>,
    flow: watch::Receiver<Flow>,
    pace: watch::Receiver<Pace>,
    cut: Option<CutAfter>,
    shared: Arc<Shared>,
}

impl Pump<'_> {
    /// The next piece, once bytes may move.
    async fn read(&mut self) -> Result<Vec<u8>, End> {
        loop {
            let flow = *self.flow.borrow_and_update();
            match flow {
                Flow::Cut(cut) => return Err(End::Cut(cut)),
                Flow::Hold => {
                    // Only the proxy's own end takes the sender away.
                    self.flow.changed().await.map_err(|_| End::Cut(Cut::Reset))?;
                    continue;
                }
                Flow::Pass => {}
            }
            let rate = self.pace.borrow_and_update().bytes_per_second;
            let most = rate
                .map_or(PIECE_BYTES, |rate| usize::try_from(rate / PIECES_PER_SECOND).unwrap_or(1).max(1));
            let mut piece = vec![0; most.min(PIECE_BYTES)];
            let read = tokio::select! {
                read = self.source.read(&mut piece) => read,
                _ = self.flow.changed() => continue,
            };
            return match read {
                Ok(0) => {
                    // The other side hears of it, unless it is gone itself.
                    let _ = self.sink.shutdown().await;
                    Err(End::Finished)
                }
                Ok(length) => {
                    piece.truncate(length);
                    Ok(piece)
                }
                Err(_) => Err(End::Cut(Cut::Reset)),
            };
        }
    }

    /// Waits as after [`super::Proxy::hold`], for this connection alone.
    async fn held(&mut self) -> Result<(), End> {
        loop {
            self.flow.changed().await.map_err(|_| End::Cut(Cut::Reset))?;
            match *self.flow.borrow_and_update() {
                Flow::Cut(cut) => return Err(End::Cut(cut)),
                Flow::Pass => return Ok(()),
                Flow::Hold => {}
            }
        }
    }

    async fn write(&mut self, piece: &[u8]) -> Result<(), End> {
        let pace = *self.pace.borrow();
        let mut wait = pace.delay;
        if pace.bytes_per_second.is_some() {
            wait += Duration::from_millis(1000 / PIECES_PER_SECOND);
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        let (piece, is_cut) = self.until_cut(piece);
        let written = tokio::select! {
            written = self.sink.write_all(piece) => written,
            cut = until_cut(&mut self.flow) => return Err(End::Cut(cut)),
        };
        if let Some(cut) = is_cut {
            self.shared.count(|counts| counts.cut += 1);
            return Err(End::Cut(cut));
        }
        written.map_err(|_| End::Cut(Cut::Reset))
    }

    /// The part that still passes, and the cut after it where one is due.
    fn until_cut<'p>(&mut self, piece: &'p [u8]) -> (&'p [u8], Option<Cut>) {
        let Some(cut) = &mut self.cut else { return (piece, None) };
        let length = piece.len() as u64;
        if length < cut.bytes {
            cut.bytes -= length;
            return (piece, None);
        }
        let left = usize::try_from(cut.bytes).unwrap_or(usize::MAX);
        (piece.get(..left).unwrap_or(piece), Some(cut.cut))
    }
}

async fn until_cut(flow: &mut watch::Receiver<Flow>) -> Cut {
    let found = flow.wait_for(|flow| matches!(flow, Flow::Cut(_))).await.map(|flow| *flow);
    if let Ok(Flow::Cut(cut)) = found { cut } else { Cut::Reset }
}

fn render_answer(then: Then, request: &[u8]) -> Vec<u8> {
    let (status, body, signature) = match then {
        Then::Answer { status, body } => (status, body, None),
        Then::AnswerAsBridge { status, body, key } => {
            let signature = sign(&key, request, status, &body);
            (status, body, signature)
        }
        Then::LoseRequest | Then::LoseAnswer | Then::HoldAnswer => return Vec::new(),
    };
    let signed = signature.map_or_else(String::new, |signature| format!("{ANSWER_HEADER}: {signature}\r\n"));
    let head = format!(
        "HTTP/1.1 {status} Fault\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{signed}connection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body.as_bytes()].concat()
}

/// What the bridge would sign its answer with; none for a request that it would not take.
fn sign(key: &str, request: &[u8], status: u16, answer: &str) -> Option<String> {
    let keys = BridgeKeys::parse(key)?;
    let head = request.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (method, path) = request_line(request)?;
    let text = String::from_utf8_lossy(request.get(..head)?);
    let authorization = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let now = Timestamp(u64::try_from(now.as_millis()).ok()?);
    let body = request.get(head + 4..)?;
    let claims =
        verify_request(&keys, Audience::Bridge, authorization.as_deref(), method, path, body, now).ok()?;
    Some(sign_answer(&keys, Audience::Bridge, &claims, status, answer.as_bytes(), now))
}

fn end<const N: usize>(cut: Cut, streams: [TcpStream; N]) {
    for stream in streams {
        if cut == Cut::Reset {
            // A stream without it ends with FIN, which is an end too.
            let _ = stream.set_zero_linger();
        }
    }
}
