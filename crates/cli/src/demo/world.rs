//! The demo's world: customers, products, orders and payments as pure functions of their number, so that every table
//! tells the same story (an order's region is its customer's, a payment's order exists).

use super::rng::Rng;

const DAY_MICROS: i64 = 86_400_000_000;
/// 2026-07-01, in days since 1970.
const FIRST_DAY: i32 = 20_635;

const FIRST_NAMES: &[&str] = &[
    "Anna", "Bruno", "Chloé", "Dario", "Elif", "Finn", "Greta", "Hana", "Iris", "Jonas", "Kofi", "Lena", "Mateo",
    "Nora", "Oskar", "Priya", "Quentin", "Rosa", "Sofia", "Tomás", "Uma", "Viktor", "Wei", "Yuki", "Zoë",
];
const LAST_NAMES: &[&str] = &[
    "Almeida", "Bauer", "Castro", "Dubois", "Eriksen", "Fischer", "Garcia", "Hansen", "Ito", "Jensen", "Kowalski",
    "Larsson", "Moreau", "Novak", "O'Brien", "Petrov", "Rossi", "Schmidt", "Tanaka", "Vargas", "Weber", "Zhang",
];
const CATEGORIES: &[(&str, &[&str])] = &[
    ("kitchen", &["kettle", "pan", "knife", "grinder"]),
    ("garden", &["spade", "hose", "lantern", "planter"]),
    ("office", &["desk", "chair", "lamp", "notebook"]),
    ("sport", &["racket", "mat", "helmet", "bottle"]),
    ("toys", &["puzzle", "kite", "robot", "blocks"]),
];
const STREETS: &[&str] = &["Harbour Road", "Mill Lane", "Rue du Port", "Lindenallee", "Via Roma", "Elm Street"];
const CITIES: &[&str] = &["Aarhus", "Bilbao", "Chicago", "Dresden", "Fukuoka", "Ghent", "Perth", "Singapore"];
const ADJECTIVES: &[&str] = &["Amber", "Birch", "Cobalt", "Delta", "Ember", "Fjord", "Granite", "Harbour", "Indigo"];

/// How many of each there are, and over how many days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// Order events; the other numbers follow from it.
    pub events: u64,
}

/// A person who orders.
pub struct Customer {
    pub id: String,
    pub first: &'static str,
    pub last: &'static str,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub birth_day: Option<i32>,
    pub country: &'static str,
    pub region: &'static str,
    pub segment: Option<&'static str>,
    pub opt_in: bool,
    pub address: Option<Address>,
    pub created: i64,
}

/// Where somebody lives.
pub struct Address {
    pub street: String,
    pub city: &'static str,
    pub postal_code: String,
}

/// Something to order.
pub struct Product {
    pub id: String,
    pub name: String,
    pub category: &'static str,
    pub price_cents: i64,
    pub stock: i32,
    pub supplier: Option<String>,
    pub attributes: Vec<(&'static str, &'static str)>,
    pub tags: Option<Vec<&'static str>>,
    pub updated: i64,
}

/// One order.
pub struct Order {
    pub id: String,
    pub customer: u64,
    pub product: u64,
    pub quantity: i32,
    pub micros: i64,
    pub channel: &'static str,
}

/// One event in an order's life.
pub struct Event {
    pub order: Order,
    pub kind: &'static str,
    pub micros: i64,
    pub coupon: Option<&'static str>,
}

/// One payment.
pub struct Payment {
    pub id: String,
    pub order: Order,
    pub day: i32,
    pub micros: i64,
    pub card: Option<String>,
    pub iban: Option<String>,
    pub status: &'static str,
    pub risk: Option<f64>,
    pub flagged: bool,
}

/// The currency of a region.
pub fn currency(region: &str) -> &'static str {
    match region {
        "EU" => "EUR",
        "US" => "USD",
        _ => "JPY",
    }
}

impl World {
    pub fn orders(self) -> u64 {
        (self.events / 4).max(1)
    }

    pub fn payments(self) -> u64 {
        (self.events / 2).max(1)
    }

    pub fn customers(self) -> u64 {
        (self.events / 20).max(50)
    }

    pub fn products(self) -> u64 {
        (self.events / 400).clamp(40, 5_000)
    }

    /// Days that the facts cover: few in a small world, so that a partition is never a handful of rows.
    pub fn days(self) -> i32 {
        i32::try_from(self.events / 20_000).unwrap_or(i32::MAX).clamp(6, 45)
    }

    /// Fact `index` of `count` happens at this instant: evenly spread over the days, in order.
    fn instant(self, index: u64, count: u64, rng: &mut Rng) -> i64 {
        let span = i64::from(self.days()) * DAY_MICROS;
        let step = span / i64::try_from(count.max(1)).unwrap_or(i64::MAX);
        let jitter = rng.between(0, step.max(1) - 1);
        i64::from(FIRST_DAY) * DAY_MICROS + step * i64::try_from(index).unwrap_or(0) + jitter
    }

    pub fn customer(self, index: u64) -> Customer {
        let mut rng = Rng::at(1, index);
        let (region, country) = match rng.below(10) {
            0..=4 => ("EU", rng.pick(&["DE", "FR", "ES", "IT", "SE", "PL"])),
            5..=7 => ("US", "US"),
            _ => ("APAC", rng.pick(&["JP", "SG", "AU", "IN"])),
        };
        let (first, last) = (rng.pick(FIRST_NAMES), rng.pick(LAST_NAMES));
        let host = rng.pick(&["example.com", "example.org", "mail.example.net"]);
        let plain = |name: &str| name.chars().filter(char::is_ascii_alphabetic).collect::<String>().to_lowercase();
        let email = format!("{}.{}{index}@{host}", plain(first), plain(last));
        let phone = format!("+{} {:03} {:06}", rng.between(1, 99), rng.below(1000), rng.below(1_000_000));
        Customer {
            id: customer_id(index),
            first,
            last,
            email: (!rng.chance(3)).then_some(email),
            phone: (!rng.chance(10)).then_some(phone),
            birth_day: (!rng.chance(5)).then(|| i32::try_from(rng.between(-9_000, 13_000)).unwrap_or(0)),
            country,
            region,
            segment: (!rng.chance(4)).then(|| rng.pick(&["consumer", "business", "premium", "partner"])),
            opt_in: rng.chance(60),
            address: (!rng.chance(5)).then(|| Address {
                street: format!("{} {}", rng.pick(STREETS), rng.between(1, 180)),
                city: rng.pick(CITIES),
                postal_code: format!("{:05}", rng.below(100_000)),
            }),
            created: i64::from(FIRST_DAY) * DAY_MICROS - rng.between(1, 1_500 * DAY_MICROS),
        }
    }

    pub fn product(self, index: u64) -> Product {
        let mut rng = Rng::at(2, index);
        let (category, kinds) =
            CATEGORIES.get(rng.below(CATEGORIES.len() as u64) as usize).copied().unwrap_or(("other", &["thing"]));
        let name = format!("{} {} {}", rng.pick(ADJECTIVES), rng.pick(kinds), rng.between(1, 99));
        let mut attributes = vec![("colour", rng.pick(&["red", "blue", "sand", "moss"]))];
        if rng.chance(60) {
            attributes.push(("size", rng.pick(&["S", "M", "L"])));
        }
        let tag = rng.pick(&["new", "sale", "outlet"]);
        let tags = match rng.below(4) {
            0 => None,
            1 => Some(Vec::new()),
            2 => Some(vec![tag]),
            _ => Some(vec![tag, "popular"]),
        };
        let days = i64::from(FIRST_DAY + self.days());
        Product {
            id: product_id(index),
            name,
            category,
            price_cents: rng.between(199, 49_999),
            stock: i32::try_from(rng.between(-40, 400).max(0)).unwrap_or(0),
            supplier: (!rng.chance(8)).then(|| format!("S{:04}", rng.below(120))),
            attributes,
            tags,
            updated: days * DAY_MICROS - rng.between(1, 400 * DAY_MICROS),
        }
    }

    pub fn order(self, index: u64) -> Order {
        let mut rng = Rng::at(3, index);
        Order {
            id: format!("O{index:09}"),
            customer: rng.skewed(self.customers()),
            product: rng.skewed(self.products()),
            quantity: i32::try_from(rng.between(1, 6)).unwrap_or(1),
            micros: self.instant(index, self.orders(), &mut rng),
            channel: rng.pick(&["web", "web", "app", "store", "partner"]),
        }
    }

    pub fn event(self, index: u64) -> Event {
        let mut rng = Rng::at(4, index);
        let order = self.order((index / 4).min(self.orders() - 1));
        let (kind, delay) = match index % 4 {
            0 => ("created", 0),
            1 => ("paid", 600),
            2 => (if rng.chance(93) { "shipped" } else { "cancelled" }, 20_000),
            _ => (if rng.chance(90) { "delivered" } else { "returned" }, 70_000),
        };
        let micros = order.micros + (delay + rng.between(0, 599)) * 1_000_000 + rng.between(0, 999_999);
        let coupon = rng.chance(15).then(|| rng.pick(&["SUMMER10", "WELCOME_5", "FREE%SHIP"]));
        Event { order, kind, micros, coupon }
    }

    pub fn payment(self, index: u64) -> Payment {
        let mut rng = Rng::at(5, index);
        let order = self.order((index / 2).min(self.orders() - 1));
        let micros = order.micros + rng.between(0, 59_000_000) * i64::try_from(index % 2).unwrap_or(0);
        let last_day = FIRST_DAY + self.days() - 1;
        let day = i32::try_from(micros.div_euclid(DAY_MICROS)).unwrap_or(last_day).min(last_day);
        let by_card = rng.chance(70);
        let iban = format!("XX{:02}{:09}{:09}", rng.below(100), rng.below(1_000_000_000), rng.below(1_000_000_000));
        let risk = rng.unit() * rng.unit();
        Payment {
            id: format!("T{index:010}"),
            order,
            day,
            micros,
            card: by_card.then(|| format!("{:04}", rng.below(10_000))),
            iban: (!by_card).then_some(iban),
            status: rng.pick(&["authorised", "captured", "captured", "captured", "declined", "refunded"]),
            risk: (!rng.chance(6)).then_some((risk * 1_000.0).round() / 1_000.0),
            flagged: risk > 0.72,
        }
    }
}

/// The id of customer `index`, as every domain writes it.
pub fn customer_id(index: u64) -> String {
    format!("C{index:08}")
}

/// The id of product `index`.
pub fn product_id(index: u64) -> String {
    format!("P{index:05}")
}
