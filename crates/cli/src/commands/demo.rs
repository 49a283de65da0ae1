//! `portcullis demo`: data, the same question asked by two people, and a gateway to ask more of.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use futures::TryStreamExt;
use portcullis_contract::Level;
use portcullis_gateway::Gateway;

use super::serve::{listen, until_stopped};
use crate::args::DemoArgs;
use crate::demo::lake;
use crate::mesh::{Failure, configuration, session};
use crate::output::table;
use crate::{OK, Streams};

/// The question that two people ask: it joins two domains on a column that most may only see hashed.
const QUESTION: &str = "\
SELECT c.region, substr(c.customer_id, 1, 12) AS customer, c.name,
       count(*) AS orders, sum(o.total_amount_usd_cents) / 100 AS usd
FROM orders.customer_orders_v1 o
JOIN customers.customer_profiles c ON o.customer_id = c.customer_id
GROUP BY c.region, c.customer_id, c.name
ORDER BY usd DESC, customer LIMIT 5";

/// Who asks it: a user, and for which purpose.
const ASKERS: [(&str, Option<&str>); 2] = [("ana", None), ("frida", Some("fraud"))];

pub async fn run(mesh: &Path, args: &DemoArgs, streams: &mut Streams<'_>) -> Result<u8, Failure> {
    let mut config = configuration(mesh)?;
    config.listen.flight = args.listen;
    let listener = if args.once { None } else { Some(listen(args.listen).await?) };
    let address = match &listener {
        Some(listener) => listener.local_addr()?,
        None => args.listen,
    };
    let started = Instant::now();
    if lake::ensure(mesh, args.rows, !streams.interactive).await? {
        let seconds = started.elapsed().as_secs_f32();
        writeln!(streams.out, "wrote five tables of four domains to {}/ in {seconds:.1} s", lake::LAKE)?;
    }
    if args.once {
        config.catalogue.watch = false;
    }
    let gateway = Gateway::open(mesh, config).await?;
    for finding in gateway.findings().iter().filter(|finding| finding.level != Level::Info) {
        writeln!(streams.err, "{finding}")?;
    }
    let mut answers = Vec::new();
    for (user, purpose) in ASKERS {
        let title = match purpose {
            Some(purpose) => format!("as {user}, for purpose {purpose}"),
            None => format!("as {user}"),
        };
        answers.push(format!("{title}\n{}", answer(&gateway, user, purpose).await?));
    }
    writeln!(streams.out, "\n{QUESTION};\n\n{}", side_by_side(&answers))?;
    let Some(listener) = listener else {
        gateway.shutdown().await;
        return Ok(OK);
    };
    writeln!(streams.out, "{}", ways_in(address))?;
    streams.out.flush()?;
    until_stopped(gateway, listener, None).await
}

async fn answer(gateway: &Gateway, user: &str, purpose: Option<&str>) -> Result<String, Failure> {
    let session = session(gateway, user, purpose)?;
    let rows = gateway.query(&session, QUESTION, None).await?;
    let schema = rows.schema();
    let batches: Vec<_> = rows.try_collect().await?;
    Ok(table(&schema, &batches)?)
}

/// Texts next to each other, aligned at their tops.
fn side_by_side(texts: &[String]) -> String {
    let columns: Vec<Vec<&str>> = texts.iter().map(|text| text.lines().collect()).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> =
        columns.iter().map(|lines| lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)).collect();
    let row = |at: usize| {
        let cells = columns.iter().zip(&widths).map(|(lines, width)| {
            let line = lines.get(at).copied().unwrap_or_default();
            format!("{line}{}", " ".repeat(width - line.chars().count()))
        });
        cells.collect::<Vec<_>>().join("   ").trim_end().to_string()
    };
    (0..height).map(row).collect::<Vec<_>>().join("\n")
}

/// Lines to paste, one for each kind of client. The password of every demo user is the user's name.
pub fn ways_in(address: SocketAddr) -> String {
    // pyarrow knows Flight, not Flight SQL: the statement is packed by hand (docs/clients/pyarrow.md).
    let pyarrow = format!(
        "import pyarrow.flight as f; part = lambda n, v: bytes([n << 3 | 2, len(v)]) + v; \
         kind = b\"type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery\"; \
         sql = b\"SELECT region, count(*) AS n FROM orders.order_events GROUP BY region\"; \
         c = f.connect(\"grpc://{address}\"); o = f.FlightCallOptions(headers=[c.authenticate_basic_token(\"ana\", \"ana\")]); \
         i = c.get_flight_info(f.FlightDescriptor.for_command(part(1, kind) + part(2, part(1, sql))), o); \
         print(c.do_get(i.endpoints[0].ticket, o).read_all())"
    );
    let adbc = format!(
        "import adbc_driver_flightsql.dbapi as d; \
         c = d.connect(\"grpc://{address}\", db_kwargs={{\"username\": \"dev\", \"password\": \"dev\"}}, autocommit=True); \
         u = c.cursor(); u.execute(\"SELECT customer_id, amount FROM orders.order_events LIMIT 5\"); print(u.fetch_arrow_table())"
    );
    let jdbc =
        format!("jdbc:arrow-flight-sql://{address}/?useEncryption=false&user=frida&password=frida&purpose=fraud");
    format!(
        "serving Flight SQL on grpc://{address}, ctrl-c stops\n\
         users: ana, dev, frida (purpose fraud), petra, audrey; the password is the name\n\n\
         pyarrow  python3 -c '{pyarrow}'\n\n\
         ADBC     python3 -c '{adbc}'\n\n\
         JDBC     {jdbc}\n\n\
         CLI      portcullis query --as dev 'SELECT customer_id, amount FROM orders.order_events LIMIT 5'\n         \
         portcullis explain --as ana 'SELECT * FROM customers.customer_profiles'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_stand_side_by_side() {
        let texts = ["a\nbbb".to_string(), "x\ny\nz".to_string()];
        assert_eq!(side_by_side(&texts), "a     x\nbbb   y\n      z");
    }

    #[test]
    fn every_way_in_names_the_address() {
        let text = ways_in(([127, 0, 0, 1], 4711).into());
        for client in ["pyarrow", "ADBC", "JDBC"] {
            let line = text.lines().find(|line| line.trim_start().starts_with(client)).unwrap();
            assert!(line.contains("127.0.0.1:4711"), "{line}");
        }
    }
}
