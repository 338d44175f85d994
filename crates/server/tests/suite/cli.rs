//! The binary as scripts see it: exit codes, sentences, what is printed and what is refused.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SAMPLES: &str = "2025-01-15T12:00:00-06:00";

pub struct Done {
    pub code: i32,
    pub out: String,
    pub err: String,
}

pub fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_customer-service"));
    command.args(arguments).current_dir(dir).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CUSTOMER_SERVICE_")) {
        command.env_remove(name);
    }
    command
}

pub fn run(dir: &Path, arguments: &[&str]) -> Done {
    let done = command(dir, arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Done { code: done.status.code().unwrap_or(-1), out: text(done.stdout), err: text(done.stderr) }
}

/// Asserts the exit code, and that what was said holds some words.
pub fn expect(dir: &Path, arguments: &[&str], code: i32, words: &str) -> Done {
    let done = run(dir, arguments);
    let said = format!("{}{}", done.out, done.err);
    assert_eq!(done.code, code, "{arguments:?} said {said}");
    assert!(said.contains(words), "{arguments:?} should say {words:?}, said {said}");
    done
}

fn shell(line: &str) -> String {
    let done = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

pub struct Server {
    child: Child,
    lines: Vec<String>,
}

impl Server {
    /// Starts and waits until the curl line was printed.
    pub fn start(dir: &Path, more: &[&str]) -> Self {
        let mut arguments = vec!["serve", "--demo", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
        arguments.extend(more);
        let mut child = command(dir, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = Vec::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let last = line.starts_with("curl ");
            lines.push(line);
            if last {
                return Self { child, lines };
            }
        }
        child.wait().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        panic!("no curl line: {lines:?} {said}");
    }

    pub fn word(&self, begins: &str) -> &str {
        let mut words = self.lines.iter().flat_map(|line| line.split_whitespace());
        words.find(|word| word.starts_with("http://") && word.ends_with(begins)).unwrap()
    }

    fn get(&self, url_ends: &str) -> String {
        let url = self.word(url_ends).trim_start_matches("http://");
        let (host, path) = url.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub fn pasted(&self) -> String {
        shell(self.lines.last().unwrap())
    }

    fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    }

    pub fn terminate(self) -> i32 {
        self.ask_to_end();
        self.ended()
    }

    fn ended(mut self) -> i32 {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            assert!(began.elapsed() < Duration::from_secs(15), "it did not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn wrong_usage_and_wrong_settings_exit_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["--help"], 0, "Exit codes");
    let serve = expect(dir, &["serve", "--help"], 0, "--demo-public");
    assert!(!serve.out.contains("--limits-burst") && serve.out.contains("help settings"), "{}", serve.out);
    let show = expect(dir, &["help", "audit", "show"], 0, "--request-id");
    assert!(!show.out.contains("--data-dir DIR") && !show.out.contains("--limits-burst"), "{}", show.out);
    expect(dir, &["help", "restore"], 0, "restore --from <DIR> --data-dir <DIR>");
    let settings = expect(dir, &["help", "settings"], 0, "--limits-burst");
    for words in ["--config <FILE>", "[default: 127.0.0.1:8080]", "environment: keyring, issuers"] {
        assert!(settings.out.contains(words), "{words} in {}", settings.out);
    }
    expect(dir, &["help", "nonsense"], 2, "settings");
    expect(dir, &["nonsense"], 2, "Usage");
    expect(dir, &["serve", "--as-of", SAMPLES], 2, "--demo");
    expect(dir, &["serve", "--demo", "--as-of", "yesterday"], 2, "offset");
    expect(dir, &["config", "--listen", "here"], 2, "address:port");
    expect(dir, &["audit", "show"], 2, "--reason");
    expect(dir, &["audit", "drop", "--before", "January", "--reason", "a test"], 2, "such as 2025-01");
    expect(dir, &["serve"], 2, "keys generate");
    fs::write(dir.join("wrong.toml"), "keyring-fiel = 'x'").unwrap();
    let two = ["config", "--config", "wrong.toml", "--log-level", "loud"];
    expect(dir, &two, 2, "Did you mean keyring-file?");
    expect(dir, &two, 2, "\"loud\" is none of off, error");
    assert!(!dir.join("data").exists(), "a refused start leaves nothing behind");
}

#[test]
fn dev_run_says_that_its_port_is_taken_before_it_builds() {
    let dir = tempfile::tempdir().unwrap();
    let (bin, built) = (dir.path().join("bin"), dir.path().join("built"));
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("cargo"), format!("#!/bin/sh\ntouch {}\nexit 1\n", built.display())).unwrap();
    fs::set_permissions(bin.join("cargo"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let dev = |arguments: &[String]| {
        let mut dev = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../dev"));
        let done = dev.arg("run").args(arguments).env("PATH", &path).stdin(Stdio::null()).output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap(), built.exists())
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap();
    let free = "--listen=127.0.0.1:0".to_owned();
    for arguments in [
        ["--listen".to_owned(), taken.to_string()],
        [free.clone(), format!("--management-listen={taken}")],
        [format!("--management-listen=0.0.0.0:{}", taken.port()), free.clone()],
    ] {
        let (code, said, built) = dev(&arguments);
        assert!(code == Some(1) && said.contains("is taken") && !built, "{arguments:?}: {said}");
    }
    let (_, said, built) = dev(&[free, "--management-listen=127.0.0.1:0".into()]);
    assert!(built, "{said}");
}

#[test]
fn the_settings_in_force_say_where_they_came_from() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("own.toml"), "zone = 'UTC'\n[database]\nurl = 'postgres://u:hunter2@h/d'\n").unwrap();
    let done = expect(
        dir.path(),
        &["config", "--config", "own.toml", "--limits-burst", "7"],
        0,
        "zone = \"UTC\"  # file own.toml",
    );
    assert!(done.out.contains("limits.burst = 7  # flag --limits-burst"), "{}", done.out);
    assert!(done.out.contains("database.url = (secret)") && !done.out.contains("hunter2"), "{}", done.out);
}

#[test]
fn keys_are_made_once_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["keys", "generate", "--out", "ring"], 0, "new keyring");
    let file = dir.join("ring");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    expect(dir, &["keys", "generate", "--out", "ring"], 1, "not overwritten");
    expect(dir, &["keys", "check", "--keyring-file", "ring"], 0, "complete");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    expect(dir, &["keys", "check", "--keyring-file", "ring"], 1, "chmod 600");
    expect(dir, &["serve", "--keyring-file", "ring"], 1, "chmod 600");
    expect(dir, &["keys", "check", "--keyring-file", "absent"], 1, "cannot be read");
    let (whole, part) = (fs::read_to_string(&file).unwrap(), dir.join("part"));
    let lines = whole.lines().filter(|line| !line.starts_with("place"));
    fs::write(&part, lines.collect::<Vec<_>>().join("\n")).unwrap();
    fs::set_permissions(&part, fs::Permissions::from_mode(0o600)).unwrap();
    let done = expect(dir, &["keys", "check", "--keyring-file", "part"], 1, "no line for place");
    assert!(!done.err.contains("generate"), "{}", done.err);
    // A whole keyring, but nobody to sign in.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let free = ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    let mut serve = vec!["serve", "--keyring-file", "ring"];
    serve.extend(free);
    expect(dir, &serve, 2, "No issuer");
    expect(dir, &["doctor", "--keyring-file", "ring"], 3, "FAIL  issuers");
}

#[test]
fn commands_make_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    expect(dir, &["keys", "generate", "--out", "ring"], 0, "");
    // Which folder that is, where nobody named one.
    let folder = dir.join("data");
    let nothing = format!("nothing in the embedded database in {} yet", folder.display());
    expect(dir, &["outbox", "list", "--keyring-file", "ring"], 1, &nothing);
    expect(dir, &["outbox", "list"], 2, &format!("{} has none", folder.display()));
    expect(dir, &["audit", "show", "--reason", "a test", "--keyring-file", "ring"], 1, "nothing in");
    expect(dir, &["audit", "verify", "--keyring-file", "ring"], 1, "holds no database");
    expect(dir, &["backup", "--to", "copy"], 1, "does not exist");
    assert!(!dir.join("data").exists());
}

#[test]
fn while_it_drains_it_is_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--data-dir", "demo"]);
    let host = server.word("/api/docs").trim_start_matches("http://").trim_end_matches("/api/docs");
    let token = shell(server.lines.last().unwrap().split_once("$(").unwrap().1.rsplit_once(")\"").unwrap().0);
    // A change at work: its body is not there yet.
    let mut stream = TcpStream::connect(host).unwrap();
    let (token, body) = (token.trim(), r#"{"nickname": "Home"}"#);
    let head = format!(
        "PATCH /api/accounts/1001 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/merge-patch+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert!(server.get("/health/ready").starts_with("HTTP/1.1 200"));
    server.ask_to_end();
    let began = Instant::now();
    while !server.get("/health/ready").contains("\"ending\"") {
        assert!(began.elapsed() < Duration::from_secs(5), "it stays ready");
        std::thread::sleep(Duration::from_millis(10));
    }
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "what was at work is finished: {answer}");
    assert_eq!(server.ended(), 0);
}

#[test]
fn a_demonstration_from_its_first_start_to_its_backup() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let began = Instant::now();
    let server = Server::start(dir, &["--as-of", SAMPLES, "--data-dir", "demo", "--audit-checkpoint-file", "points"]);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(server.lines.iter().any(|line| line.contains("DEMONSTRATION")));
    assert!(server.get("/health/ready").contains("\"ready\""));
    assert!(server.pasted().contains("\"customerId\":1"), "{}", server.pasted());
    assert!(server.get("/metrics").contains("customer_service_audit_records"));
    assert_eq!(fs::metadata(dir.join("demo/keyring")).unwrap().permissions().mode() & 0o777, 0o600);

    // Beside the running service.
    let data = ["--data-dir", "demo"];
    let with = |arguments: &[&'static str]| [arguments, &data].concat();
    expect(dir, &with(&["backup", "--to", "copy"]), 0, "holds a backup");
    let shown = expect(dir, &with(&["audit", "show", "--reason", "a test", "--customer", "1"]), 0, "");
    assert!(shown.out.contains("customer/1"), "{}", shown.out);
    // Who looked is the system's user, whatever the environment says.
    let again = with(&["audit", "show", "--reason", "again", "--action", "audit.show"]);
    let mut pretending = command(dir, &again);
    let done =
        pretending.env("USER", "mallory").env("SUDO_USER", "mallory").env("LOGNAME", "mallory").output().unwrap();
    let shown = String::from_utf8(done.stdout).unwrap();
    assert!(shown.contains("a test") && shown.contains(&format!("uid {}", shell("id -u").trim())), "{shown}");
    let shown = expect(dir, &again, 0, "again");
    assert!(!shown.out.contains("mallory"), "{}", shown.out);
    let shown = expect(dir, &with(&["audit", "show", "--reason", "cut", "--limit", "1"]), 0, "There are more");
    assert!(shown.out.starts_with("AT ") && shown.out.lines().count() == 3, "{}", shown.out);
    expect(dir, &with(&["audit", "show", "--reason", "cut", "--role", "boss"]), 2, "write one of customer");
    expect(dir, &with(&["audit", "show", "--reason", "none", "--action", "none"]), 0, "No record fits.");
    let whole = expect(dir, &with(&["audit", "show", "--reason", "whole", "--limit", "20000"]), 0, "seed");
    assert!(!whole.out.contains("There are more"), "{}", whole.out);
    expect(dir, &with(&["audit", "reindex", "--reason", "a test"]), 0, "complete");
    fs::write(dir.join("nothing"), "").unwrap();
    let empty = expect(dir, &with(&["audit", "verify", "--checkpoints", "nothing"]), 3, "the file is empty");
    assert!(!empty.out.contains("OK"), "{}", empty.out);
    expect(dir, &with(&["audit", "verify"]), 0, "OK");
    let why = ["--reason", "nothing is that old"];
    expect(dir, &with(&[&["audit", "drop", "--before", "2025-01"][..], &why].concat()), 0, "0 records deleted");
    expect(dir, &with(&[&["audit", "drop", "--before", "2999-01"][..], &why].concat()), 2, "are kept");
    expect(dir, &with(&["doctor"]), 0, "OK    keyring");
    expect(dir, &with(&["outbox", "list"]), 0, "");
    assert_eq!(server.terminate(), 0);
    expect(dir, &with(&["audit", "verify", "--checkpoints", "points"]), 0, "OK");

    // It meets nothing real, and no other day.
    expect(dir, &["keys", "generate", "--out", "ring"], 0, "");
    expect(dir, &with(&["serve", "--keyring-file", "ring"]), 1, "never serves without --demo");
    let free = ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"];
    let other_day = [&with(&["serve", "--demo", "--as-of", "2025-01-16T12:00:00-06:00"])[..], &free].concat();
    expect(dir, &other_day, 1, "cannot be shown as of");
    expect(dir, &with(&["serve", "--demo", "--keyring-file", "ring"]), 1, "does not belong");
    // One key exchanged is enough, and is named.
    let (own, other) =
        (fs::read_to_string(dir.join("demo/keyring")).unwrap(), fs::read_to_string(dir.join("ring")).unwrap());
    let line = |text: &str, purpose: &str| text.lines().find(|line| line.starts_with(purpose)).unwrap().to_owned();
    for purpose in ["master", "lookup", "audit", "actor", "place", "token"] {
        fs::write(dir.join("ring"), own.replace(&line(&own, purpose), &line(&other, purpose))).unwrap();
        let words = format!("its {purpose} key 1 is another one. Give the keyring with which");
        let ring = ["--keyring-file", "ring"];
        expect(dir, &with(&[&["keys", "check"][..], &ring].concat()), 3, &words);
        expect(dir, &with(&[&["doctor"][..], &ring].concat()), 3, &words);
        expect(dir, &with(&[&["serve", "--demo"][..], &ring].concat()), 1, &words);
        expect(dir, &with(&[&["audit", "verify"][..], &ring].concat()), 1, &words);
    }
    // A key may be added: it is noted at the next start, and then needed.
    fs::write(dir.join("ring"), format!("{own}{}\n", line(&other, "audit").replacen(" 1 ", " 2 ", 1))).unwrap();
    let check = with(&["keys", "check", "--keyring-file", "ring"]);
    expect(dir, &check, 0, "the next start notes what is new: audit 2");
    let with_ring = ["--as-of", SAMPLES, "--data-dir", "demo", "--keyring-file", "ring"];
    assert_eq!(Server::start(dir, &with_ring).terminate(), 0);
    expect(dir, &check, 0, "Every key is the database's own");
    expect(dir, &with(&["keys", "check"]), 3, "audit key 2 is missing");
    fs::copy(dir.join("ring"), dir.join("demo/keyring")).unwrap();

    // The same day again, on another port: the log-ins still work.
    let again = Server::start(dir, &["--as-of", SAMPLES, "--data-dir", "demo"]);
    assert!(again.pasted().contains("\"customerId\":1"), "{}", again.pasted());
    assert_eq!(again.terminate(), 0);

    // The backup has no keys, and comes back only where nothing is.
    let mut names: Vec<_> = fs::read_dir(dir.join("copy")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["audit.sqlite", "backup.json", "main.sqlite"]);
    expect(dir, &with(&["restore", "--from", "copy"]), 1, "not empty");
    expect(dir, &["restore", "--from", "copy"], 2, "--data-dir");
    assert!(!dir.join("data").exists());
    expect(dir, &["restore", "--from", "copy", "--data-dir", "back"], 0, "keyring with actor 1 ");
    let back = ["--data-dir", "back", "--keyring-file", "demo/keyring"];
    expect(dir, &[&["audit", "verify"][..], &back].concat(), 0, "OK");
    let file = dir.join("copy/audit.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&file, bytes).unwrap();
    expect(dir, &["restore", "--from", "copy", "--data-dir", "third"], 1, "not the file that was backed up");
}
