"""The driver of `./dev bench read`: loads the data once, starts what is measured, prints one table."""

import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import sys
import time
import urllib.request

CUSTOMERS = int(os.environ.get("CUSTOMERS", "100000"))
# Customers with a token, spread over all of them: pgbench draws from the same ones.
TOKENS = min(CUSTOMERS, int(os.environ.get("TOKENS", "5000")))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
SECONDS = int(os.environ.get("SECONDS_EACH", "5"))
HERE = pathlib.Path(__file__).resolve().parent
WORK = pathlib.Path(".dev/bench").resolve()
BIN = pathlib.Path("target/release").resolve()
SERVER = os.environ["OSSREP_TEST_POSTGRES"]
DATABASE = SERVER.rsplit("/", 1)[0] + "/ossrep_bench"
children = []


def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def run(*command, **options):
    return subprocess.run(command, check=True, text=True, capture_output=True, **options).stdout


def start(log, *command, env=None):
    child = subprocess.Popen(command, stdout=open(WORK / log, "w"), stderr=subprocess.STDOUT, env=env)
    children.append(child)
    return child


def wait(url, child, interval=0.002):
    begun = time.monotonic()
    while time.monotonic() - begun < 60:
        try:
            with urllib.request.urlopen(url, timeout=1) as answer:
                if answer.status == 200:
                    return time.monotonic() - begun
        except OSError:
            if child.poll() is not None:
                sys.exit(f"{child.args[0]} ended; see {WORK}")
        time.sleep(interval)
    sys.exit(f"{url} did not answer")


def memory(child):
    text = pathlib.Path(f"/proc/{child.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text).group(1)) / 1024


def load(marker, *target):
    """Loads once; a marker beside the data says what it holds."""
    note = WORK / marker
    if note.exists() and note.read_text() == str(CUSTOMERS):
        return
    print(f"loading {CUSTOMERS} customers: {marker}", flush=True)
    if marker == "postgres.loaded":
        run("psql", "-q", SERVER, "-c", "DROP DATABASE IF EXISTS ossrep_bench WITH (FORCE)")
        run("psql", "-q", SERVER, "-c", "CREATE DATABASE ossrep_bench")
    else:
        run("rm", "-rf", str(WORK / "sqlite"))
    run(str(BIN / "examples/bench_load"), "--customers", str(CUSTOMERS), "--keyring", str(WORK / "keyring"),
        "--issuer", ISSUER, *target)
    note.write_text(str(CUSTOMERS))


def service(name, *target):
    listen, management = port(), port()
    command = [str(BIN / "customer-service"), "serve", "--config", str(WORK / "service.toml"),
               "--listen", f"127.0.0.1:{listen}", "--management-listen", f"127.0.0.1:{management}", *target]
    child = start(f"{name}.log", *command)
    ready = wait(f"http://127.0.0.1:{management}/health/ready", child)
    return {"child": child, "url": f"http://127.0.0.1:{listen}", "management": f"http://127.0.0.1:{management}", "ready": ready}


def wrk(url, script, connections, *arguments):
    out = run("wrk", "-t", "2" if connections > 8 else "1", "-c", str(connections), "-d", f"{SECONDS}s", "-s",
              str(HERE / script), url, "--", *arguments)
    rate, p50, p99, bad = re.search(r"RESULT (\S+) (\S+) (\S+) (\d+)", out).groups()
    if int(bad):
        sys.exit(f"{url}: {bad} answers were errors\n{out}")
    return float(rate), float(p50), float(p99)


def pgbench(script, connections):
    for old in WORK.glob("pgbench_log*"):
        old.unlink()
    out = run("pgbench", "-n", "-M", "prepared", "-c", str(connections), "-j", "2" if connections > 8 else "1",
              "-T", str(SECONDS), "-f", str(WORK / script), "-l", "--log-prefix", str(WORK / "pgbench_log"), DATABASE)
    rate = float(re.search(r"tps = (\S+) \(without", out).group(1))
    times = sorted(int(line.split()[2]) for log in WORK.glob("pgbench_log*") for line in log.read_text().splitlines())
    return rate, times[len(times) // 2] / 1000, times[len(times) * 99 // 100] / 1000


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    load("postgres.loaded", "--database-url", DATABASE)
    load("sqlite.loaded", "--data-dir", str(WORK / "sqlite"))
    run("psql", "-q", DATABASE, "-c", "VACUUM ANALYZE")
    statement = run(str(BIN / "examples/bench_load"), "--print-select").strip()
    bound = statement.replace("$1", ":id").replace("$2", ":account").replace("$3", "now() - interval '731 days'")
    head = f"\\set n random(0, {TOKENS - 1})\n\\set id 1 + :n * {CUSTOMERS} / {TOKENS}\n\\set account 1000000 + :id\n"
    (WORK / "select.sql").write_text(head + bound + ";\n")
    columns = "lane, number, at, actor, role, customer_id, action, outcome, status, resource, categories, request_id, who, key_id, mac"
    values = ("-1, nextval('bench_audit_number'), now(), 'customer', 'customer', :id, 'getAccount', 'asked', 200, 'account/1001', 30, "
              "'0123456789abcdef0123456789abcdef', decode(repeat('ab', 120), 'hex'), 1, decode(repeat('cd', 32), 'hex')")
    insert = f"INSERT INTO bench_audit ({columns}) VALUES ({values});\n"
    (WORK / "insert.sql").write_text(head + "BEGIN;\n" + bound + ";\n" + insert + "COMMIT;\n")
    run("psql", "-q", DATABASE, "-c", "DROP TABLE IF EXISTS bench_audit", "-c", "CREATE TABLE bench_audit (LIKE audit_log INCLUDING ALL)",
        "-c", "CREATE SEQUENCE IF NOT EXISTS bench_audit_number")
    issuer = start("issuer.log", str(BIN / "examples/bench_issuer"), "--listen", ISSUER.split("//")[1], "--tokens",
                   str(WORK / "tokens"), "--count", str(TOKENS), "--customers", str(CUSTOMERS))
    wait(f"{ISSUER}/certs", issuer)
    (WORK / "service.toml").write_text(
        f"keyring-file = \"{WORK}/keyring\"\n[limits]\nrequests-per-second = 1000000\nburst = 1000000\n"
        f"[log]\nlevel = \"warn\"\n"
        f"[[issuers]]\nissuer = \"{ISSUER}\"\naudience = \"customer-service\"\njwks_url = \"{ISSUER}/certs\"\nroles = [\"customer\"]\n")
    postgres = service("postgres", "--database-url", DATABASE)
    sqlite = service("sqlite", "--data-dir", str(WORK / "sqlite"))
    tokens = str(WORK / "tokens")
    rows = {
        "pgbench, select": lambda c: pgbench("select.sql", c),
        "pgbench, select and insert": lambda c: pgbench("insert.sql", c),
        "constant answer": lambda c: wrk(postgres["url"] + "/api/accounts/1", "constant.lua", c),
        "service on PostgreSQL": lambda c: wrk(postgres["url"], "read.lua", c, tokens),
        "service on SQLite": lambda c: wrk(sqlite["url"], "read.lua", c, tokens),
    }
    found = {}
    for connections in (8, 64):
        for turn in range(ROUNDS):
            for name, measure in rows.items():
                found.setdefault((name, connections), []).append(measure(connections))
                print(f"round {turn + 1} {connections} {name}: {found[name, connections][-1]}", file=sys.stderr, flush=True)
    extra = {"service on PostgreSQL": postgres, "service on SQLite": sqlite}
    print(f"\nMachine: {platform.machine()}, {os.cpu_count()} cores, kernel {platform.release()}; "
          f"{run('psql', '-At', SERVER, '-c', 'SHOW server_version').strip()} (PostgreSQL); commit "
          f"{run('git', 'rev-parse', '--short', 'HEAD').strip()}; {CUSTOMERS} customers, medians of {ROUNDS} rounds of {SECONDS} s.\n")
    print("| Row | Connections | Requests/s | p50 ms | p99 ms | Memory MiB | Ready ms |\n|---|---|---|---|---|---|---|")
    rate = {}
    for (name, connections), results in found.items():
        middle = [statistics.median(column) for column in zip(*results)]
        rate[name, connections] = middle[0]
        more = extra.get(name)
        held = f"{memory(more['child']):.0f} | {more['ready'] * 1000:.0f}" if more else " | "
        print(f"| {name} | {connections} | {middle[0]:,.0f} | {middle[1]:.2f} | {middle[2]:.2f} | {held} |")
    print("\n| Ratio | 8 connections | Goal | 64 connections | Goal |\n|---|---|---|---|---|")
    for over, under, few, many in [("service on PostgreSQL", "pgbench, select", "0.45", "1.0"),
                                   ("service on PostgreSQL", "pgbench, select and insert", "1.8", "2.8"),
                                   ("service on SQLite", "constant answer", "0.20", "0.35")]:
        ratios = [f"{rate[over, c] / rate[under, c]:.2f}" for c in (8, 64)]
        print(f"| {over} / {under} | {ratios[0]} | {few} | {ratios[1]} | {many} |")


# Below the ports that the system gives to clients: a client that waits for its own port would meet itself.
ISSUER = "http://127.0.0.1:29398"
try:
    main()
finally:
    for child in children:
        child.terminate()
    for child in children:
        child.wait()
