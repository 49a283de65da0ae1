//! Harlequin, a SQL client for terminals, with its adapter for ADBC: keys go in, and what is on the screen is read.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::conformance::Shown;
use super::{PEOPLE, answer};
use crate::support::{self, served};

const SQL: &str = "SELECT region, count(*) AS orders FROM orders.order_events GROUP BY region ORDER BY region";
/// Far beyond what it takes anywhere; a screen that stays wrong ends the test then.
const PATIENCE: Duration = Duration::from_secs(180);

/// A program in a terminal that nobody sees.
struct Terminal {
    home: tempfile::TempDir,
}

impl Terminal {
    fn open(program: &[&OsStr]) -> Terminal {
        let terminal = Terminal { home: tempfile::tempdir().unwrap() };
        let mut start = terminal.tmux();
        start.args(["new-session", "-d", "-x", "160", "-y", "48"]).args(program);
        assert!(start.status().unwrap().success());
        terminal
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.home.path().join("terminal")).args(["-f", "/dev/null"]);
        tmux.env_remove("TMUX").env("HOME", self.home.path()).env("LANG", "C.UTF-8").stderr(Stdio::null());
        tmux
    }

    fn keys(&self, keys: &[&str]) {
        for key in keys {
            assert!(self.tmux().args(["send-keys", key]).status().unwrap().success());
            // Two keys in one breath are taken for one escape sequence.
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// Goes to the editor, and runs a statement there. A result that comes late takes the keys for itself, so it is tried
    /// until the editor has the whole statement.
    fn run_sql(&self, sql: &str) {
        let began = Instant::now();
        loop {
            self.keys(&["F2", "C-a"]);
            assert!(self.tmux().args(["send-keys", "-l", sql]).status().unwrap().success());
            std::thread::sleep(Duration::from_secs(1));
            if self.screen().contains(&format!("1  {sql}")) {
                return self.keys(&["C-j"]);
            }
            assert!(began.elapsed() < PATIENCE, "the editor does not take `{sql}`:\n{}", self.screen());
            self.keys(&["Escape"]);
        }
    }

    fn screen(&self) -> String {
        String::from_utf8(self.tmux().args(["capture-pane", "-p"]).output().unwrap().stdout).unwrap()
    }

    /// Waits until the screen shows it.
    fn shows(&self, what: &str) -> String {
        let began = Instant::now();
        loop {
            let screen = self.screen();
            if screen.contains(what) {
                return screen;
            }
            assert!(began.elapsed() < PATIENCE, "`{what}` does not appear:\n{screen}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux().arg("kill-server").status().ok();
    }
}

/// The rows of a result as they stand between the lines of its frame.
fn has_row(screen: &str, row: &[&str]) -> bool {
    screen.lines().flat_map(|line| line.split('│')).any(|part| part.split_whitespace().eq(row.iter().copied()))
}

#[test]
fn external_harlequin_in_a_terminal() {
    let Some(harlequin) = harlequin() else { return };
    let mut shown = Shown::of("Harlequin");
    for (user, purpose) in PEOPLE {
        let mut options = format!("username={user};password={user}");
        if let Some(purpose) = purpose {
            options += &format!(";adbc.flight.sql.rpc.call_header.purpose={purpose}");
        }
        let address = served().url();
        let words = ["-a", "adbc", "--driver-type", "flightsql", "--db-kwargs-str", &options, &address];
        let mut program = vec![harlequin.as_os_str()];
        program.extend(words.map(OsStr::new));
        let terminal = Terminal::open(&program);
        terminal.shows("mesh db");
        terminal.keys(&["F6", "Space"]);
        let screen = terminal.shows("orders s");
        shown
            .holds("listings", ["customers s", "inventory s", "system s"].iter().all(|domain| screen.contains(domain)));

        let rows = answer(user, purpose, SQL);
        let rows: Vec<[&str; 2]> =
            rows.as_array().unwrap().iter().map(|row| [0, 1].map(|cell| row[cell].as_str().unwrap())).collect();
        terminal.run_sql(SQL);
        let screen = terminal.shows(&format!("Query Results ({} Records)", rows.len()));
        let same = rows.iter().all(|row| has_row(&screen, row));
        shown.holds("rows", same);
        shown.holds("purpose", same);

        terminal.run_sql("SELECT * FROM orders.nowhere");
        shown.holds("unknown table", terminal.shows("Query Error").contains("table `orders.nowhere` not found"));
    }
    shown.check();
}

fn harlequin() -> Option<PathBuf> {
    let harlequin = support::bi_python()?.with_file_name("harlequin");
    if !Command::new("tmux").arg("-V").output().is_ok_and(|output| output.status.success()) {
        support::skipped("there is no `tmux`");
        return None;
    }
    Some(harlequin)
}
