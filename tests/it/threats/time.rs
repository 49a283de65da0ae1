//! Decisions are made when a statement executes, by what is in force then: nothing that was permitted before is kept in
//! a handle, a ticket, a cache or another principal's plan.
//!
//! CVE-2023-2455 and CVE-2024-10976 (PostgreSQL: row security of a plan that was made for another user), StarRocks#78175
//! (one protocol past the masks of another), databend#19210 and ClickHouse#110302 (caches whose key lacks the decision).

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::client::PreparedStatement;
use futures::TryStreamExt;
use portcullis_gateway::config::Span;
use portcullis_gateway::{Config, Gateway};
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::flight::{Client, Kept, channel, fetch, login, number, query, statement, texts, with};
use crate::support::{self, Served, block_on};

const REGIONS: &str = "SELECT DISTINCT region FROM orders.order_events";
const COUNT: &str = "SELECT count(*) FROM orders.order_events";
const CUSTOMERS: &str = "SELECT DISTINCT customer_id FROM orders.order_events WHERE region = 'EU'";

/// A gateway over a mesh that a test may change, behind a server.
struct Mesh {
    directory: TempDir,
    gateway: Arc<Gateway>,
    served: Served,
}

impl Mesh {
    fn new(change: impl FnOnce(&mut Config)) -> Mesh {
        let directory = support::copy_of_mesh();
        let mut config = Config::load(directory.path()).unwrap();
        config.catalogue.watch = false;
        change(&mut config);
        let gateway = block_on(Gateway::open(directory.path(), config)).unwrap();
        let served = support::serve(Arc::clone(&gateway), None);
        Mesh { directory, gateway, served }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Changes a file, and has the gateway take it up.
    async fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.path().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has `{from}`");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
        assert!(self.gateway.reload().await, "{file}: {:?}", self.gateway.findings());
    }
}

async fn run(client: &mut Client, prepared: &mut PreparedStatement<Channel>) -> Result<Vec<RecordBatch>, String> {
    let info = prepared.execute().await.map_err(|error| error.to_string())?;
    let ticket = info.endpoint[0].ticket.clone().unwrap();
    let stream = client.do_get(ticket).await.map_err(|error| error.to_string())?;
    stream.try_collect().await.map_err(|error| error.to_string())
}

/// What may change between two calls, and how ana's answer to `COUNT` has to change: `None` for a refusal.
const CHANGES: [(&str, &str, &str, &str); 4] = [
    ("policy", "policies/analysts.cedar", "resource.region == \"EU\"", "resource.region == \"US\""),
    ("group", "users.yaml", "groups: [eu_analysts]", "groups: [data_scientists]"),
    ("attribute", "users.yaml", "groups: [eu_analysts]", "groups: [analysts]\n    attributes: {regions: [APAC]}"),
    (
        "contract",
        "catalogs/orders/order_events.yaml",
        "- name: order_id\n      type: string",
        "- name: order_id\n      type: string\n      pii: true\n      masking: \"null\"",
    ),
];

#[test]
fn what_changed_between_preparing_and_executing_counts() {
    for (what, file, from, to) in CHANGES {
        let mesh = Mesh::new(|_| ());
        block_on(async {
            let mut ana = login(&mesh.served, "ana").await;
            let sql = "SELECT count(*), count(order_id), min(region), max(region) FROM orders.order_events";
            let mut prepared = ana.prepare(sql.to_owned(), None).await.unwrap();
            let before = run(&mut ana, &mut prepared).await.unwrap();
            mesh.edit(file, from, to).await;
            let after = run(&mut ana, &mut prepared).await.unwrap();
            assert_ne!(before, after, "{what}");
            assert_eq!(after, query(&mut ana, sql).await, "as if it were prepared now: {what}");
        });
    }
}

#[test]
fn what_changed_between_the_ticket_and_its_use_counts() {
    for (what, file, from, to) in CHANGES {
        let mesh = Mesh::new(|_| ());
        block_on(async {
            let mut ana = login(&mesh.served, "ana").await;
            let sql = "SELECT count(*), count(order_id), min(region), max(region) FROM orders.order_events";
            let info = ana.execute(sql.to_owned(), None).await.unwrap();
            let before = fetch(&mut ana, info.clone()).await.1;
            mesh.edit(file, from, to).await;
            assert_ne!(before, fetch(&mut ana, info).await.1, "{what}");
        });
    }
}

#[test]
fn what_is_closed_is_closed_to_handles_and_tickets_too() {
    let remove = |mesh: &Mesh, name: &str| std::fs::remove_file(mesh.path().join("policies").join(name)).unwrap();
    type Close<'a> = &'a dyn Fn(&Mesh);
    let closings: [(&str, Close<'_>); 4] = [
        ("the last policy", &|mesh| {
            for name in ["analysts", "data_scientists", "fraud", "platform", "readers"] {
                remove(mesh, &format!("{name}.cedar"));
            }
        }),
        ("the last permit for ana", &|mesh| remove(mesh, "readers.cedar")),
        ("the policy folder", &|mesh| std::fs::remove_dir_all(mesh.path().join("policies")).unwrap()),
        ("a folder that cannot be listed", &|mesh| {
            std::fs::rename(mesh.path().join("policies"), mesh.path().join("aside")).unwrap();
            std::fs::write(mesh.path().join("policies"), "").unwrap();
        }),
    ];
    for (what, close) in closings {
        let mesh = Mesh::new(|_| ());
        block_on(async {
            let mut ana = login(&mesh.served, "ana").await;
            let mut prepared = ana.prepare(COUNT.to_owned(), None).await.unwrap();
            let info = ana.execute(COUNT.to_owned(), None).await.unwrap();
            assert!(number(&run(&mut ana, &mut prepared).await.unwrap()) > 0);
            close(&mesh);
            mesh.gateway.reload().await;
            run(&mut ana, &mut prepared).await.unwrap_err();
            assert!(ana.do_get(info.endpoint[0].ticket.clone().unwrap()).await.is_err(), "{what}");
            assert!(ana.execute(COUNT.to_owned(), None).await.is_err(), "{what}");
        });
    }
}

/// Half a file is a mistake: what is in force stays in force as a whole, forbids included, and says so.
#[test]
fn a_half_written_policy_file_opens_nothing() {
    let mesh = Mesh::new(|_| ());
    block_on(async {
        let mut dev = login(&mesh.served, "dev").await;
        let before = number(&query(&mut dev, COUNT).await);
        let path = mesh.path().join("policies/data_scientists.cedar");
        let text = std::fs::read_to_string(&path).unwrap();
        let forbid = text.find("@id(\"data-scientists-no-welcome-coupons\")").unwrap();
        for cut in [forbid + 5, forbid + 60, text.len() - 3] {
            std::fs::write(&path, &text[..cut]).unwrap();
            mesh.gateway.reload().await;
            assert!(mesh.gateway.findings().iter().any(|finding| finding.code == "mesh-not-reloaded"), "{cut}");
            assert_eq!(number(&query(&mut dev, COUNT).await), before, "{cut}");
        }
    });
}

/// Policies and their caches know principals, not plans: the same text gives each their own answer, whoever came first.
#[test]
fn no_plan_or_decision_of_one_principal_serves_another() {
    let mesh = Mesh::new(|_| ());
    block_on(async {
        let mut seen = Vec::new();
        for round in 0..2 {
            for user in ["ana", "dev", "frida", "ana"] {
                let mut client = login(&mesh.served, user).await;
                let regions = texts(&query(&mut client, REGIONS).await, "region");
                let customers = texts(&query(&mut client, CUSTOMERS).await, "customer_id");
                seen.push((user, number(&query(&mut client, COUNT).await), regions, customers, round));
            }
        }
        let of = |user: &str| {
            let own = seen.iter().filter(|(who, ..)| *who == user);
            own.map(|(_, count, regions, customers, _)| (*count, regions, customers)).collect::<Vec<_>>()
        };
        for user in ["ana", "dev", "frida"] {
            assert!(of(user).windows(2).all(|pair| pair[0] == pair[1]), "{user}");
        }
        let counts = ["ana", "dev", "frida"].map(|user| of(user)[0].0);
        assert!(counts[0] < counts[1] && counts[1] < counts[2], "{counts:?}");
        assert_eq!((of("ana")[0].1.len(), of("dev")[0].1.len()), (1, 3));
    });
}

#[test]
fn a_purpose_belongs_to_its_session() {
    let mesh = Mesh::new(|_| ());
    block_on(async {
        let (mut fraud, mut plain) = (Kept::login(&mesh.served, "frida").await, login(&mesh.served, "frida").await);
        let hashed = texts(&query(&mut plain, CUSTOMERS).await, "customer_id");
        fraud.query("SET purpose = 'fraud'").await;
        let clear = texts(&fraud.query(CUSTOMERS).await, "customer_id");
        assert!(clear.is_disjoint(&hashed));
        assert_eq!(texts(&query(&mut plain, CUSTOMERS).await, "customer_id"), hashed, "another session's purpose");
    });
}

/// Rows that are long in coming, read one message after another.
struct Slow {
    messages: tonic::Streaming<arrow_flight::FlightData>,
    began: Instant,
}

const LONG: &str =
    "SELECT a.order_id, b.order_id FROM orders.order_events a, orders.order_events b, orders.order_events c";

impl Slow {
    async fn begin(mesh: &Mesh) -> Slow {
        let mut ana = login(&mesh.served, "ana").await;
        let token = ana.token().unwrap().clone();
        let info = ana.execute(LONG.to_owned(), None).await.unwrap();
        let mut raw = FlightServiceClient::new(channel(&mesh.served).await);
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let mut messages = raw.do_get(with(&token, ticket)).await.unwrap().into_inner();
        for _ in 0..2 {
            messages.try_next().await.unwrap().unwrap();
        }
        Slow { messages, began: Instant::now() }
    }

    /// Reads on slowly; what it is stopped with, if it is before `patience` is over.
    async fn stopped(&mut self, patience: Duration) -> Option<tonic::Status> {
        while self.began.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(5)).await;
            match self.messages.try_next().await {
                Ok(Some(_)) => {}
                Ok(None) => return None,
                Err(status) => return Some(status),
            }
        }
        None
    }
}

#[test]
fn a_running_stream_is_cut_when_it_may_not_go_on() {
    let mesh = Mesh::new(|config| config.limits.revoke_within = Span::millis(50));
    block_on(async {
        let mut slow = Slow::begin(&mesh).await;
        mesh.edit("policies/analysts.cedar", "resource.region == \"EU\"", "resource.region == \"US\"").await;
        let status = slow.stopped(Duration::from_secs(20)).await.expect("it is cut");
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
        assert!(
            status.message().starts_with("the query was stopped: policies, contracts or users changed"),
            "{status}"
        );
    });
}

#[test]
fn a_running_stream_is_cut_when_its_user_is_removed() {
    let mesh = Mesh::new(|config| config.limits.revoke_within = Span::millis(0));
    block_on(async {
        let mut slow = Slow::begin(&mesh).await;
        mesh.edit("users.yaml", "  ana:\n", "  anna:\n").await;
        let status = slow.stopped(Duration::from_secs(20)).await.expect("it is cut");
        assert_eq!(status.code(), tonic::Code::PermissionDenied);
    });
}

#[test]
fn a_change_that_is_none_of_its_business_stops_no_stream() {
    let mesh = Mesh::new(|config| config.limits.revoke_within = Span::millis(0));
    block_on(async {
        let mut slow = Slow::begin(&mesh).await;
        mesh.edit("users.yaml", "groups: [data_scientists]", "groups: []").await;
        mesh.edit("policies/data_scientists.cedar", "\"APAC\"", "\"LATAM\"").await;
        assert!(slow.stopped(Duration::from_secs(1)).await.is_none());
    });
}

#[test]
fn by_default_a_stream_has_five_minutes_to_finish_what_it_began() {
    let mesh = Mesh::new(|config| assert_eq!(config.limits.revoke_within, Span::minutes(5)));
    block_on(async {
        let mut slow = Slow::begin(&mesh).await;
        mesh.edit("policies/analysts.cedar", "resource.region == \"EU\"", "resource.region == \"US\"").await;
        assert!(slow.stopped(Duration::from_secs(1)).await.is_none());
        let mut ana = login(&mesh.served, "ana").await;
        let now = texts(&query(&mut ana, REGIONS).await, "region");
        assert_eq!(now.into_iter().collect::<Vec<_>>(), ["US"], "what begins now is decided now");
    });
}

/// What was announced for one principal cannot be asked for by another, whichever way it is put.
#[test]
fn a_stolen_ticket_or_handle_is_of_no_use() {
    block_on(async {
        let served = support::served();
        let (mut frida, mut ana) = (login(served, "frida").await, login(served, "ana").await);
        let info = frida.execute(COUNT.to_owned(), None).await.unwrap();
        let ticket = info.endpoint[0].ticket.clone().unwrap();
        let prepared = frida.prepare(COUNT.to_owned(), None).await.unwrap();
        drop(prepared);
        assert!(frida.do_get(ticket.clone()).await.is_ok());
        let error = ana.do_get(ticket).await.unwrap_err().to_string();
        assert!(error.contains("not one that this gateway made for this principal"), "{error}");
        let mut raw = FlightServiceClient::new(channel(served).await);
        let token = ana.token().unwrap().clone();
        let theirs = raw.get_flight_info(with(&token, crate::flight::descriptor(&statement(COUNT)))).await;
        assert!(theirs.is_ok(), "asking for one's own is fine");
    });
}
