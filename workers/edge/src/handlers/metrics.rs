//! Metrics: for people as JSON and CSV, of the repositories that they see; for scrapers, with a key of their own, of everything. What is
//! asked of the database, and what each figure means, is said in `metrics`.

use super::access::refresh_list;
use super::guard::Admitted;
use super::repositories::code_host;
use crate::answer::{Answer, OrInternal as _, file, json_text, log, text};
use crate::context::Context;
use crate::index::{Index, Viewer};
use crate::metrics_store::MetricsStore;
use futures::future::{join_all, try_join_all};
use js_sys::{Array, Function, Object, Reflect};
use metrics::calendar::{Moment, Zone, write_moment};
use metrics::open_metrics;
use metrics::period::{Asked, Period};
use metrics::query::{self, Query, Scope};
use metrics::table::{SERIES, TABLES, Table, quote};
use protocol::error::{ErrorBody, ErrorCode};
use protocol::id::RepositoryId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use wasm_bindgen::{JsCast as _, JsValue};

/// Letters of the name of a time zone.
const ZONE_BYTES_MAX: usize = 64;

/// Answers `GET /api/metrics`.
pub(super) async fn people(context: &Context, admitted: &Admitted) -> Answer {
    let principal = admitted.principal()?;
    let zone = context.query("zone").unwrap_or_else(|| "UTC".to_owned());
    let clock = Clock::of(&zone)?;
    let (period, table) = read(context, &|moment| clock.offset(moment))?;
    let is_operator = context.settings.allow_list.is_operator(&principal.user.login);
    let repositories = visible(context, admitted, is_operator).await?;
    let (ends, borders) = (format!("[{},{}]", period.from, period.to), format!("{:?}", period.borders));
    let scope = |borders| Scope {
        from: period.from,
        to: period.to,
        borders,
        repositories: repositories.as_deref(),
        user: (!is_operator).then(|| principal.user.id.as_str()),
        now: context.now.0,
    };
    let (whole, parts) = (scope(&ends), scope(&borders));
    let store = MetricsStore::new(&context.env)?;
    if let Some(table) = table {
        if table.name == "repositories" {
            count_pulls(context, admitted, &store, &whole).await;
        }
        let rows = store.rows(&query_of(table, &whole, &parts)).await?;
        let (from, to) = (write_moment(period.from), write_moment(period.to));
        let days = |moment: &str| moment.get(..10).unwrap_or_default().to_owned();
        let name = format!("farhand-{}-{}-{}.csv", table.name, days(&from), days(&to));
        return file("text/csv; charset=utf-8", &name, table.write_csv(&rows));
    }
    count_pulls(context, admitted, &store, &whole).await;
    let queries = TABLES.map(|table| query_of(table, &whole, &parts));
    let found = try_join_all(queries.iter().map(|query| store.rows(query))).await?;
    let members: Vec<String> = TABLES
        .iter()
        .zip(&found)
        .map(|(table, rows)| format!("\"{}\":{}", table.name, table.write_json(rows)))
        .collect();
    let help: Vec<String> =
        TABLES.iter().map(|table| format!("\"{}\":{}", table.name, table.write_help())).collect();
    let Period { from, to, step, .. } = period;
    json_text(
        200,
        format!(
            "{{\"period\":{{\"from\":{from},\"to\":{to},\"zone\":{},\"step\":\"{}\"}},\"now\":{},\"isEverything\":{},{},\
             \"definitions\":{{{}}}}}",
            quote(&zone),
            step.as_str(),
            context.now.0,
            repositories.is_none(),
            members.join(","),
            help.join(",")
        ),
    )
}

/// Answers `GET /metrics` to whoever has the key.
pub(super) async fn scraper(context: &Context) -> Answer {
    let scope = Scope { from: 0, to: 1, borders: "[]", repositories: None, user: None, now: context.now.0 };
    let queries =
        [open_metrics::totals(), open_metrics::starts(), query::images(&scope), query::live(&scope)];
    let store = MetricsStore::new(&context.env)?;
    let found = try_join_all(queries.iter().map(|query| store.rows(query))).await?;
    let [totals, starts, images, live] = found.as_slice() else {
        return Err(ErrorBody::new(ErrorCode::Internal, "a question was left without an answer"));
    };
    text(
        open_metrics::CONTENT_TYPE,
        open_metrics::write(&open_metrics::Exposed { totals, starts, images, live }),
    )
}

fn query_of<'a>(table: Table, whole: &Scope<'a>, parts: &Scope<'a>) -> Query<'a> {
    match table.name {
        "series" => query::series(parts),
        "repositories" => query::repositories(whole),
        "people" => query::people(whole),
        "starts" => query::starts(whole),
        "images" => query::images(whole),
        "live" => query::live(whole),
        _ => query::adoption(whole),
    }
}

/// The period, and the table that is wanted as CSV.
fn read(context: &Context, zone: Zone<'_>) -> Result<(Period, Option<Table>), ErrorBody> {
    let bad = |message: String| ErrorBody::new(ErrorCode::BadRequest, message);
    let [from, to, step] = ["from", "to", "step"].map(|name| context.query(name));
    let asked = Asked { from: from.as_deref(), to: to.as_deref(), step: step.as_deref() };
    let now = Moment::try_from(context.now.0).or_internal("reading the clock")?;
    let period = Period::read(asked, now, zone).map_err(|error| bad(error.to_string()))?;
    let table = match context.query("table") {
        None => SERIES,
        Some(name) => Table::find(&name).ok_or_else(|| {
            let names = TABLES.map(|table| table.name).join(", ");
            bad(format!("`table` must be one of {names}; leave it out for {}", SERIES.name))
        })?,
    };
    let table = match context.query("format").as_deref() {
        None | Some("json") => None,
        Some("csv") => Some(table),
        Some(_) => return Err(bad("`format` must be json or csv; leave it out for json".to_owned())),
    };
    Ok((period, table))
}

/// The repositories that count, as JSON: those that the user sees, of which it may name one. `None`: all there are, for operators.
async fn visible(
    context: &Context,
    admitted: &Admitted,
    is_operator: bool,
) -> Result<Option<String>, ErrorBody> {
    let named = context.query("repository");
    if is_operator {
        return Ok(named.map(|name| format!("[{}]", quote(&name))));
    }
    let principal = admitted.principal()?;
    let since = refresh_list(context, principal).await?;
    let viewer = Viewer { user: &principal.user.id, since };
    let seen = Index::new(&context.env)?.seen_repositories(&viewer).await?;
    let Some(name) = named else {
        return Ok(Some(format!("[{}]", seen.iter().map(|id| quote(id)).collect::<Vec<_>>().join(","))));
    };
    if seen.contains(&name) {
        return Ok(Some(format!("[{}]", quote(&name))));
    }
    let message =
        "`repository` is none that you see and that sessions are about; leave it out for all of them";
    Err(ErrorBody::new(ErrorCode::RepositoryUnknown, message))
}

/// Asks the code host how many pull requests anybody has created, where that is not known or may have changed. What fails is in the log, and
/// is told as not known.
async fn count_pulls(context: &Context, admitted: &Admitted, store: &MetricsStore, scope: &Scope<'_>) {
    let counted = async {
        let stale = store.uncounted(scope).await?;
        if stale.is_empty() {
            return Ok(());
        }
        let host = code_host(context, &admitted.principal()?.user.id).await?;
        // The code host counts seconds, and its end belongs to the period.
        let (since, until) = (write_moment(scope.from), write_moment(scope.to - 1000));
        let asked = join_all(stale.iter().map(|id: &RepositoryId| {
            let (host, since, until) = (&host, &since, &until);
            async move {
                let request = github::pull_request::count_request(id, since, until);
                let (status, body) = host.send(&request).await?;
                github::pull_request::parse_count(status, &body).map(|total| (id, total))
            }
        }));
        for answer in asked.await {
            match answer {
                Ok((id, Some(total))) => store.save_total(id, scope, total).await?,
                Ok((_, None)) => {}
                Err(error) => {
                    log("counting pull requests", &error);
                }
            }
        }
        Ok::<_, ErrorBody>(())
    };
    if let Err(error) = counted.await {
        log("counting pull requests", &error);
    }
}

/// The clock of a time zone, as the runtime knows it. What it answers is remembered for the request.
struct Clock {
    format: Option<Function>,
    known: RefCell<BTreeMap<Moment, i64>>,
}

impl Clock {
    fn of(zone: &str) -> Result<Self, ErrorBody> {
        let format = if zone == "UTC" { None } else { Some(formatter(zone).ok_or_else(unknown_zone)?) };
        Ok(Self { format, known: RefCell::default() })
    }

    /// How far it is ahead of UTC, in milliseconds.
    fn offset(&self, moment: Moment) -> i64 {
        let Some(format) = &self.format else { return 0 };
        if let Some(known) = self.known.borrow().get(&moment) {
            return *known;
        }
        #[expect(clippy::cast_precision_loss, reason = "below 2^53")]
        let written = format.call1(&JsValue::UNDEFINED, &JsValue::from_f64(moment as f64));
        let written = written.ok().and_then(|text| text.as_string()).unwrap_or_default();
        let offset = metrics::calendar::parse_offset(&written);
        self.known.borrow_mut().insert(moment, offset);
        offset
    }
}

fn unknown_zone() -> ErrorBody {
    let message = "`zone` must be the name of a time zone, such as Europe/Berlin; leave it out for UTC";
    ErrorBody::new(ErrorCode::BadRequest, message)
}

/// `Intl.DateTimeFormat`, which throws where there is no such zone.
fn formatter(zone: &str) -> Option<Function> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte);
    if zone.len() > ZONE_BYTES_MAX || !zone.bytes().all(is_name) {
        return None;
    }
    let get = |object: &JsValue, name: &str| Reflect::get(object, &JsValue::from_str(name)).ok();
    let options = Object::new();
    for (name, value) in [("timeZone", zone), ("timeZoneName", "longOffset")] {
        Reflect::set(&options, &JsValue::from_str(name), &JsValue::from_str(value)).ok()?;
    }
    let constructor = get(&get(&js_sys::global(), "Intl")?, "DateTimeFormat")?.dyn_into::<Function>().ok()?;
    let arguments = Array::of2(&JsValue::from_str("en-US"), &options);
    let format = Reflect::construct(&constructor, &arguments).ok()?;
    get(&format, "format")?.dyn_into().ok()
}
