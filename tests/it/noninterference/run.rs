//! Asks the same of two worlds, over and over.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use futures::{StreamExt, stream};
use portcullis_engine::Guards;
use portcullis_gateway::{Config, Gateway, config};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tonic::transport::{Channel, Endpoint};

use super::compare::{Rows, difference};
use super::generator::{Ask, ask};
use super::lakes;
use super::mesh::{Principal, Purpose, RULES, Rule};
use super::shrink::shrink;
use super::wire::{Door, Response};
use super::worlds;
use crate::support::{self, Served};

/// Statements that betrayed something once, one in a line.
const REGRESSIONS: &str = "noninterference/regressions.sql";
/// One of so many questions goes to gateways that run in several partitions.
const PARALLEL: u64 = 6;
/// Questions that take longer are named.
const SLOW: Duration = Duration::from_secs(20);
/// How often the progress is told, in questions.
const PROGRESS: u64 = 250;
/// Questions on their way at a time.
const AT_ONCE: usize = 4;

/// The worlds of a seed: written when they are first asked for, by whichever test.
pub struct Worlds {
    pub seed: u64,
    pub principals: Vec<Principal>,
    directory: TempDir,
    first: OnceCell<PathBuf>,
    second: Vec<OnceCell<PathBuf>>,
}

impl Worlds {
    /// Those of this process.
    pub fn get() -> &'static Worlds {
        static WORLDS: OnceLock<Worlds> = OnceLock::new();
        WORLDS.get_or_init(|| Worlds::of(seed()))
    }

    fn of(seed: u64) -> Worlds {
        // Every query is recorded, and synced to the disk: in memory that costs nothing.
        let memory = Path::new("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let principals = Principal::all(seed);
        let second = principals.iter().map(|_| OnceCell::new()).collect();
        Worlds { seed, principals, directory: directory.unwrap(), first: OnceCell::new(), second }
    }

    async fn first(&self) -> &Path {
        let write = async {
            let directory = self.directory.path().join("first");
            lakes::write(&directory, &worlds::first(self.seed), &self.principals, false).await;
            directory
        };
        self.first.get_or_init(|| write).await
    }

    async fn second(&self, principal: usize) -> &Path {
        let write = async {
            let directory = self.directory.path().join(&self.principals[principal].name);
            let data = worlds::second(&worlds::first(self.seed), &self.principals[principal], self.seed);
            lakes::write(&directory, &data, &self.principals, true).await;
            directory
        };
        self.second[principal].get_or_init(|| write).await
    }
}

/// The seed of this run: given, or drawn.
fn seed() -> u64 {
    let given = std::env::var("PORTCULLIS_NONINTERFERENCE_SEED").ok().map(|seed| seed.parse().unwrap());
    given.unwrap_or_else(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        now.as_nanos() as u64 % 1_000_000_007
    })
}

/// A gateway before a world, and the connection to it.
struct Gate {
    gateway: Arc<Gateway>,
    channel: Channel,
    _served: Served,
}

/// The gateways that were opened, by world and number of partitions.
type Gates = HashMap<(PathBuf, u32), Arc<OnceCell<Gate>>>;

/// The gateways of one run, with the same guards.
pub struct Runner {
    worlds: &'static Worlds,
    guards: Guards,
    gateways: Mutex<Gates>,
}

/// What a run found.
#[derive(Debug, Default)]
pub struct Report {
    pub asked: u64,
    pub executed: u64,
    pub with_rows: u64,
    /// Questions to which both worlds give the same answers, but not every time.
    pub indeterminate: Vec<String>,
    pub errors: BTreeMap<String, u64>,
    /// Questions that the gateway calls its own fault.
    pub defects: Vec<String>,
    pub failure: Option<Failure>,
    pub seconds: f64,
}

/// A difference between two worlds.
#[derive(Debug, Clone)]
pub struct Failure {
    pub seed: u64,
    pub index: Option<u64>,
    pub principal: usize,
    pub partitions: u32,
    pub ask: Ask,
    pub difference: String,
}

impl Runner {
    pub fn new(guards: Guards) -> Self {
        Self { worlds: Worlds::get(), guards, gateways: Mutex::default() }
    }

    async fn door(&self, world: &Path, principal: usize, partitions: u32) -> Door {
        let key = (world.to_owned(), partitions);
        let (cell, number) = {
            let mut gateways = self.gateways.lock().unwrap();
            let number = gateways.len();
            (Arc::clone(gateways.entry(key).or_default()), number)
        };
        let open = async {
            let gateway = open(world, partitions, number, self.guards.clone()).await;
            let served = support::serve(Arc::clone(&gateway), None);
            let channel = Endpoint::from_shared(format!("http://{}", served.address)).unwrap().connect_lazy();
            Gate { gateway, channel, _served: served }
        };
        let gate = cell.get_or_init(|| open).await;
        let who = &self.worlds.principals[principal];
        let purpose = (who.purpose != Purpose::Unstated).then(|| "audit".to_owned());
        let session = gate.gateway.local_session(&who.name).unwrap().with_purpose(purpose);
        if who.glass {
            gate.gateway.set_option(&session, "break_glass", Some("to see what is sealed")).await.unwrap();
        }
        let token = gate.gateway.issue_token(&session).unwrap();
        let client = FlightServiceClient::new(gate.channel.clone()).max_decoding_message_size(64 << 20);
        let cookie = gate.gateway.seal_options(&session).unwrap();
        Door { client, token, cookie }
    }

    async fn doors(&self, principal: usize, partitions: u32) -> (Door, Door) {
        let (first, second) = (self.worlds.first().await, self.worlds.second(principal).await);
        (self.door(first, principal, partitions).await, self.door(second, principal, partitions).await)
    }

    /// Asks numbers of the seed until all are asked or one betrays something.
    pub async fn run(&self, numbers: std::ops::Range<u64>) -> Report {
        let principals = self.worlds.principals.len();
        let (mut report, started) = (Report::default(), Instant::now());
        let total = numbers.end - numbers.start;
        let mut answers = stream::iter(numbers)
            .map(|index| async move {
                let principal = whom(index, principals);
                let ask = ask(self.worlds.seed, index, &self.worlds.principals[principal]);
                if total == 1 {
                    eprintln!("`{}` asks: {}", self.worlds.principals[principal].name, ask.text());
                }
                let parallel = index / principals as u64 % PARALLEL == PARALLEL - 1 && self.is_parallel(principal);
                let (one, other) = self.doors(principal, partitions(parallel)).await;
                let began = Instant::now();
                let responses = both(&one, &other, &ask).await;
                if began.elapsed() > SLOW {
                    eprintln!("number {index} took {:.0} s: {}", began.elapsed().as_secs_f64(), ask.text());
                }
                (index, principal, parallel, ask, responses)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((index, principal, parallel, ask, (one, other))) = answers.next().await {
            report.count(&ask, &one);
            if report.asked.is_multiple_of(PROGRESS) {
                let rate = report.asked as f64 / started.elapsed().as_secs_f64();
                eprintln!("{} of {total} asked, {rate:.0} a second", report.asked);
            }
            let partitions = partitions(parallel);
            let (door, second) = self.doors(principal, partitions).await;
            match judge(&door, &second, &ask, (one, other), partitions).await {
                Verdict::Same => {}
                Verdict::Wavers => report.indeterminate.push(ask.text()),
                Verdict::Differs(difference) => {
                    let seed = self.worlds.seed;
                    report.failure = Some(Failure { seed, index: Some(index), principal, partitions, ask, difference });
                    break;
                }
            }
        }
        report.seconds = started.elapsed().as_secs_f64();
        report
    }

    /// Whether some of a principal's questions go to gateways with several partitions: each seed has others.
    fn is_parallel(&self, principal: usize) -> bool {
        (principal as u64 + self.worlds.seed).is_multiple_of(3)
    }

    /// What one statement betrays, to anybody.
    pub async fn replay(&self, sql: &str) -> Option<Failure> {
        for principal in 0..self.worlds.principals.len() {
            for partitions in if self.is_parallel(principal) { vec![1, 3] } else { vec![1] } {
                let (one, other) = self.doors(principal, partitions).await;
                let ask = Ask::Sql(sql.to_owned());
                let answers = both(&one, &other, &ask).await;
                if let Verdict::Differs(difference) = judge(&one, &other, &ask, answers, partitions).await {
                    let seed = self.worlds.seed;
                    return Some(Failure { seed, index: None, principal, partitions, ask, difference });
                }
            }
        }
        None
    }

    /// What the first world answers.
    pub async fn answer(&self, principal: usize, ask: &Ask) -> Response {
        self.door(self.worlds.first().await, principal, 1).await.ask(ask).await
    }

    /// The same failure with a shorter statement.
    pub async fn shrunk(&self, failure: Failure) -> Failure {
        let Ask::Sql(sql) = &failure.ask else { return failure };
        let (one, other) = self.doors(failure.principal, failure.partitions).await;
        let partitions = failure.partitions;
        let differs = |sql: String| {
            let (one, other) = (one.clone(), other.clone());
            async move {
                let ask = Ask::Sql(sql);
                let answers = both(&one, &other, &ask).await;
                matches!(judge(&one, &other, &ask, answers, partitions).await, Verdict::Differs(_))
            }
        };
        let short = Ask::Sql(shrink(sql, differs).await);
        let (left, right) = both(&one, &other, &short).await;
        match difference(&left, &right, compared(&short, partitions)) {
            Some(difference) => Failure { ask: short, difference, ..failure },
            None => failure,
        }
    }
}

/// Everybody in turn; who sees no row is asked seldom.
fn whom(index: u64, principals: usize) -> usize {
    let (round, turn) = (index as usize / principals, index as usize % principals);
    match RULES[turn] {
        Rule::Nothing if !round.is_multiple_of(4) => round % principals,
        _ => turn,
    }
}

fn partitions(parallel: bool) -> u32 {
    if parallel { 3 } else { 1 }
}

async fn both(one: &Door, other: &Door, ask: &Ask) -> (Response, Response) {
    futures::join!(one.ask(ask), other.ask(ask))
}

/// What is compared of a question's rows. Branches of a union are partitions too: which is ready first is a matter of time.
fn compared(ask: &Ask, partitions: u32) -> Rows {
    let text = ask.text();
    match partitions {
        1 if !text.contains("UNION") => Rows::Ordered,
        1 => Rows::Sorted,
        _ if BY_ORDER.iter().any(|word| text.contains(word)) => Rows::Counted,
        _ => Rows::Sorted,
    }
}

/// What makes values of the order of rows, or chooses by it.
const BY_ORDER: [&str; 7] = ["OVER", "_agg(", "first_value(", "last_value(", "nth_value(", "LIMIT", "DISTINCT ON"];

/// How often each world is asked again before a difference counts.
const AGAIN: usize = 8;

/// The difference of two worlds' answers, if it tells the worlds apart; otherwise whether there was one at all.
enum Verdict {
    Same,
    /// Both worlds give the same answers, some this time and some another: rows of a union come as they are ready.
    Wavers,
    Differs(String),
}

/// Asks both worlds, again where the answers differ: a difference that one more answer of either world undoes is no news of the world,
/// nor is one between answers that neither world gives twice.
async fn judge(one: &Door, other: &Door, ask: &Ask, (left, right): (Response, Response), partitions: u32) -> Verdict {
    // Even where nothing orders the rows, they are nearly always the same bytes.
    if partitions == 1 && difference(&left, &right, Rows::Ordered).is_none() {
        return Verdict::Same;
    }
    let rows = compared(ask, partitions);
    let Some(found) = difference(&left, &right, rows) else { return Verdict::Same };
    let (mut lefts, mut rights) = (vec![left], vec![right]);
    for _ in 0..AGAIN {
        let (left, right) = both(one, other, ask).await;
        lefts.push(left);
        rights.push(right);
        if lefts.iter().any(|left| rights.iter().any(|right| difference(left, right, rows).is_none())) {
            return Verdict::Wavers;
        }
    }
    // Which rows a limit leaves, where nothing puts them in order, is another answer each time, in every world.
    let wavers =
        |answers: &[Response]| answers.iter().skip(1).any(|other| difference(&answers[0], other, rows).is_some());
    match wavers(&lefts) && wavers(&rights) {
        true => Verdict::Wavers,
        false => Verdict::Differs(found),
    }
}

async fn open(mesh: &Path, partitions: u32, number: usize, guards: Guards) -> Arc<Gateway> {
    let mut config = Config::default();
    config.catalogue.watch = false;
    config.catalogue.refresh_age = config::Span::hours(1);
    config.limits.partitions = partitions;
    // Small, so that small tables have several batches. Not smaller: an array that a sort hands on holds on to the buffers of all
    // batches that it sorted, and where batches have few rows that is more than the rows.
    config.limits.batch_rows = 32;
    config.limits.query_time = config::Span::seconds(60);
    config.audit.dir = format!(".portcullis/audit-{partitions}-{number}-{guards:?}").into();
    config.identity.break_glass = config::Span::hours(100);
    config.secrets.mask_key = Some(config::KeyRef::File("mask.key".into()));
    config.secrets.signing_key = Some(config::KeyRef::File("signing.key".into()));
    #[cfg(debug_assertions)]
    let opened = Gateway::open_weakened(mesh, config, guards).await;
    // In release, nothing can be weakened.
    #[cfg(not(debug_assertions))]
    let opened = Gateway::open(mesh, config).await;
    opened.unwrap_or_else(|error| panic!("{error}: {:#?}", error.findings))
}

impl Report {
    fn count(&mut self, ask: &Ask, response: &Response) {
        self.asked += 1;
        self.executed += u64::from(response.succeeded);
        self.with_rows += u64::from(response.succeeded && response.has_rows());
        for (name, bytes) in &response.parts {
            if name == "error" {
                let text = String::from_utf8_lossy(bytes);
                if text.starts_with("Internal") {
                    self.defects.push(format!("{text}\n{}", ask.text()));
                }
                let kind: String = text
                    .chars()
                    .take(if std::env::var_os("PORTCULLIS_NONINTERFERENCE_ERRORS").is_some() { 90 } else { 20 })
                    .collect();
                *self.errors.entry(kind.split(':').take(2).collect::<Vec<_>>().join(":")).or_default() += 1;
            }
        }
    }

    /// In a few lines.
    pub fn summary(&self) -> String {
        let percent = |part: u64| part * 100 / self.asked.max(1);
        format!(
            "non-interference: {} asked in {:.0} s ({:.0} a second); {} % executed, {} % with rows; {} indeterminate",
            self.asked,
            self.seconds,
            self.asked as f64 / self.seconds.max(0.001),
            percent(self.executed),
            percent(self.with_rows),
            self.indeterminate.len(),
        )
    }
}

impl Failure {
    /// What to say of it, and how to see it again.
    pub fn report(&self) -> String {
        let principal = &Worlds::get().principals[self.principal];
        let again = match self.index {
            Some(index) => format!(
                "again: PORTCULLIS_NONINTERFERENCE_SEED={} PORTCULLIS_NONINTERFERENCE_FIRST={index} cargo xtask noninterference --queries 1",
                self.seed
            ),
            None => format!("again: cargo xtask noninterference --queries 0 --seed {}", self.seed),
        };
        format!(
            "two worlds differ for `{}` (seed {}, {} partitions)\n{}\n\n{}\n\n{again}\nkeep it: add the statement to tests/{REGRESSIONS}",
            principal.name,
            self.seed,
            self.partitions,
            self.ask.text(),
            self.difference
        )
    }
}

/// The statements that every run asks first.
pub fn regressions() -> Vec<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(REGRESSIONS)).unwrap();
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")).map(str::to_owned).collect()
}
