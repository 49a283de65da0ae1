//! The demo's tables: their columns, their rows and how they are cut into snapshots and files.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;

use super::columns::Columns;
use super::lake::chunks;
use super::world::{World, currency, customer_id, product_id};

/// The format that a table is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Iceberg v2.
    Iceberg,
    /// Delta.
    Delta,
}

/// Rows of a table that is to be written, and how they are cut into snapshots and files.
pub trait Rows {
    /// The table's name.
    fn name(&self) -> &str;
    /// Identity partitions (Iceberg only).
    fn partitions(&self) -> &[&'static str] {
        &[]
    }
    /// Commits that the rows are spread over.
    fn commits(&self) -> u64;
    /// Data files of a commit and a partition (Iceberg; Delta has one for each commit).
    fn files(&self) -> u64;
    /// How many rows there are.
    fn count(&self) -> u64;
    /// The rows of each commit, in their order.
    fn ranges(&self) -> Vec<Range<u64>> {
        chunks(self.count(), self.commits()).collect()
    }
    /// The rows of a range.
    fn batch(&self, range: Range<u64>) -> Result<RecordBatch, ArrowError>;
}

impl Rows for (&DemoTable, World) {
    fn name(&self) -> &str {
        self.0.name
    }

    fn partitions(&self) -> &[&'static str] {
        self.0.partitions
    }

    fn commits(&self) -> u64 {
        self.0.commits
    }

    fn files(&self) -> u64 {
        self.0.files
    }

    fn count(&self) -> u64 {
        (self.0.rows)(self.1)
    }

    fn batch(&self, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
        (self.0.batch)(self.1, range)
    }
}

/// One table of the demo.
pub struct DemoTable {
    /// Directory of its domain below the lake.
    pub domain: &'static str,
    /// Directory of the table below its domain.
    pub name: &'static str,
    pub format: Format,
    /// Identity partitions (Iceberg only).
    pub partitions: &'static [&'static str],
    /// Commits that the rows are spread over.
    pub commits: u64,
    /// Data files of a commit and a partition (Iceberg; Delta has one for each commit).
    pub files: u64,
    /// How many rows there are.
    pub rows: fn(World) -> u64,
    /// The rows of a range.
    pub batch: fn(World, Range<u64>) -> Result<RecordBatch, ArrowError>,
}

/// All of them.
pub const TABLES: &[DemoTable] = &[
    DemoTable {
        domain: "orders",
        name: "order_events",
        format: Format::Iceberg,
        partitions: &[],
        commits: 3,
        files: 3,
        rows: |world| world.events,
        batch: order_events,
    },
    DemoTable {
        domain: "orders",
        name: "customer_orders_v1",
        format: Format::Iceberg,
        partitions: &[],
        commits: 2,
        files: 2,
        rows: World::orders,
        batch: customer_orders,
    },
    DemoTable {
        domain: "fintech_core",
        name: "payment_transactions_enriched",
        format: Format::Iceberg,
        partitions: &["transaction_date", "region"],
        commits: 3,
        files: 1,
        rows: World::payments,
        batch: payments,
    },
    DemoTable {
        domain: "customers",
        name: "customer_profiles",
        format: Format::Delta,
        partitions: &[],
        commits: 3,
        files: 1,
        rows: World::customers,
        batch: customers,
    },
    DemoTable {
        domain: "inventory",
        name: "product_catalog",
        format: Format::Delta,
        partitions: &[],
        commits: 2,
        files: 1,
        rows: World::products,
        batch: products,
    },
];

fn order_events(world: World, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = range
        .map(|index| {
            let event = world.event(index);
            let region = world.customer(event.order.customer).region;
            let amount = world.product(event.order.product).price_cents * i64::from(event.order.quantity);
            (event, region, amount)
        })
        .collect();
    Columns::default()
        .text("order_id", rows.iter().map(|(e, ..)| Some(&e.order.id)))
        .instant("event_ts", rows.iter().map(|(e, ..)| Some(e.micros)))
        .text("event_type", rows.iter().map(|(e, ..)| Some(e.kind)))
        .text("customer_id", rows.iter().map(|(e, ..)| Some(customer_id(e.order.customer))))
        .text("region", rows.iter().map(|(_, region, _)| Some(region)))
        .text("channel", rows.iter().map(|(e, ..)| Some(e.order.channel)))
        .text("product_id", rows.iter().map(|(e, ..)| Some(product_id(e.order.product))))
        .int("quantity", rows.iter().map(|(e, ..)| Some(e.order.quantity)))
        .cents("amount", 12, rows.iter().map(|(_, _, amount)| Some(*amount)))?
        .text("currency", rows.iter().map(|(_, region, _)| Some(currency(region))))
        .text("coupon", rows.iter().map(|(e, ..)| e.coupon))
        .finish()
}

fn customer_orders(world: World, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = range
        .map(|index| {
            let order = world.order(index);
            let region = world.customer(order.customer).region;
            let price = world.product(order.product).price_cents;
            (order, region, price)
        })
        .collect();
    Columns::default()
        .text("order_id", rows.iter().map(|(o, ..)| Some(&o.id)))
        .text("customer_id", rows.iter().map(|(o, ..)| Some(customer_id(o.customer))))
        .instant("event_timestamp", rows.iter().map(|(o, ..)| Some(o.micros)))
        .text("product_id", rows.iter().map(|(o, ..)| Some(product_id(o.product))))
        .int("quantity", rows.iter().map(|(o, ..)| Some(o.quantity)))
        .long("price_usd_cents", rows.iter().map(|(_, _, price)| Some(*price)))
        .long("total_amount_usd_cents", rows.iter().map(|(o, _, price)| Some(price * i64::from(o.quantity))))
        .text("region", rows.iter().map(|(_, region, _)| Some(region)))
        .finish()
}

fn payments(world: World, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = range
        .map(|index| {
            let payment = world.payment(index);
            let region = world.customer(payment.order.customer).region;
            let total = world.product(payment.order.product).price_cents * i64::from(payment.order.quantity);
            (payment, region, total)
        })
        .collect();
    Columns::default()
        .text("transaction_id", rows.iter().map(|(p, ..)| Some(&p.id)))
        .text("customer_id", rows.iter().map(|(p, ..)| Some(customer_id(p.order.customer))))
        .text("order_id", rows.iter().map(|(p, ..)| Some(&p.order.id)))
        .instant("transaction_ts", rows.iter().map(|(p, ..)| Some(p.micros)))
        .cents("amount", 12, rows.iter().map(|(_, _, total)| Some(*total)))?
        .text("currency", rows.iter().map(|(_, region, _)| Some(currency(region))))
        .text("card_last4", rows.iter().map(|(p, ..)| p.card.as_deref()))
        .text("iban", rows.iter().map(|(p, ..)| p.iban.as_deref()))
        .text("status", rows.iter().map(|(p, ..)| Some(p.status)))
        .double("risk_score", rows.iter().map(|(p, ..)| p.risk))
        .flag("is_flagged", rows.iter().map(|(p, ..)| Some(p.flagged)))
        .text("region", rows.iter().map(|(_, region, _)| Some(region)))
        .date("transaction_date", rows.iter().map(|(p, ..)| Some(p.day)))
        .finish()
}

fn customers(world: World, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = range.map(|index| world.customer(index)).collect();
    Columns::default()
        .text("customer_id", rows.iter().map(|c| Some(&c.id)))
        .text("name", rows.iter().map(|c| Some(format!("{} {}", c.first, c.last))))
        .text("email", rows.iter().map(|c| c.email.as_deref()))
        .text("phone", rows.iter().map(|c| c.phone.as_deref()))
        .date("birth_date", rows.iter().map(|c| c.birth_day))
        .text("country", rows.iter().map(|c| Some(c.country)))
        .text("region", rows.iter().map(|c| Some(c.region)))
        .text("segment", rows.iter().map(|c| c.segment))
        .flag("marketing_opt_in", rows.iter().map(|c| Some(c.opt_in)))
        .group(
            "address",
            Columns::default()
                .text("street", rows.iter().map(|c| c.address.as_ref().map(|a| &a.street)))
                .text("city", rows.iter().map(|c| c.address.as_ref().map(|a| a.city)))
                .text("postal_code", rows.iter().map(|c| c.address.as_ref().map(|a| &a.postal_code))),
            rows.iter().map(|c| c.address.is_some()),
        )?
        .instant("created_at", rows.iter().map(|c| Some(c.created)))
        .finish()
}

fn products(world: World, range: Range<u64>) -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = range.map(|index| world.product(index)).collect();
    Columns::default()
        .text("product_id", rows.iter().map(|p| Some(&p.id)))
        .text("name", rows.iter().map(|p| Some(&p.name)))
        .text("category", rows.iter().map(|p| Some(p.category)))
        .cents("price", 10, rows.iter().map(|p| Some(p.price_cents)))?
        .int("stock", rows.iter().map(|p| Some(p.stock)))
        .text("supplier_id", rows.iter().map(|p| p.supplier.as_deref()))
        .pairs("attributes", rows.iter().map(|p| p.attributes.as_slice()))?
        .texts("tags", rows.iter().map(|p| p.tags.as_deref()))
        .instant("updated_at", rows.iter().map(|p| Some(p.updated)))
        .finish()
}
