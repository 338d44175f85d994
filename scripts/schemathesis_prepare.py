"""What scripts/schemathesis.sh needs done in Python; only the standard library.

    ports N                   print N free ports of 127.0.0.1
    wait URL SECONDS PID      wait until URL answers 200; fail when process PID ends or time is up
    token BASE USER           print an access token of a demonstration user, or of the service `billing`
    config BASE TOKEN USER    print a schemathesis.toml whose path parameters are ids that the user may name
    alive BASE TOKEN          fail unless TOKEN is still accepted
"""

import datetime
import json
import os
import socket
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


def fetch(url, token=None, form=None, body=None, reason=None):
    """The JSON body of `url`."""
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(url, data=data)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    if reason:
        request.add_header("X-Access-Reason", reason)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(count))]
    print(*[s.getsockname()[1] for s in sockets])


def wait(url, seconds, pid):
    until = time.monotonic() + float(seconds)
    problem = "no answer"
    while time.monotonic() < until:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            sys.exit("the server ended before it was ready")
        try:
            with urllib.request.urlopen(url, timeout=2) as response:
                if response.status == 200:
                    return
        except OSError as error:  # connection refused, or an HTTP status that is not a success
            problem = error
        time.sleep(0.05)
    sys.exit(f"{url} was not ready within {seconds} s: {problem}")


def token(base, user):
    if user == "billing":
        form = {"grant_type": "client_credentials", "client_id": user, "client_secret": user}
    else:
        form = {"grant_type": "password", "client_id": "demo", "username": user, "password": user}
    print(fetch(f"{base}/demo/oidc/token", form=form)["access_token"])


def ids_of_customer(base, bearer):
    ids = {"accountId": [], "premiseId": [], "meterId": []}
    for account in fetch(f"{base}/api/accounts", bearer)["accounts"]:
        ids["accountId"].append(account["accountId"])
        for premise in fetch(f"{base}/api/accounts/{account['accountId']}/premises", bearer)["premises"]:
            ids["premiseId"].append(premise["premiseId"])
            for meter in fetch(f"{base}/api/premises/{premise['premiseId']}/meters", bearer)["meters"]:
                ids["meterId"].append(meter["meterId"])
    return ids


# What the demonstration has, for those who work on other people's data.
OF_STAFF = {
    "customerId": [1, 2, 3],
    "accountId": [1001, 1002, 1003],
    "premiseId": [2005, 2006, 2007],
    "meterId": [3006, 3007, 3008],
    "enrollmentId": [5001, 5002, 5003],
}


def planned(base, bearer, path, reason=None):
    """The id of a move-out that lies well ahead, so that there is a move to ask for."""
    date = (datetime.date.today() + datetime.timedelta(days=60)).isoformat()
    return [fetch(f"{base}{path}/move-out", bearer, body={"date": date}, reason=reason)["moveId"]]


def config(base, bearer, user):
    """Random ids only ever meet 404, which the coverage walk asks for: these are drawn from what there is."""
    ids = {"billing": lambda: {}, "mjones": lambda: dict(OF_STAFF)}.get(user, lambda: ids_of_customer(base, bearer))()
    if user == "mjones":
        ids["moveId"] = planned(base, bearer, "/api/admin/premises/2009", reason="move")
    elif ids:
        ids["moveId"] = planned(base, bearer, f"/api/premises/{ids['premiseId'][-1]}")
    hooks = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemathesis_hooks.py")
    print(f"hooks = {json.dumps(hooks)}")
    for name, values in ids.items():
        if not values:
            sys.exit(f"the demonstration user has no {name}: nothing to test with")
        print(f"[dictionaries.{name}]\nvalues = {json.dumps(values)}")
    # A run that met only 401 or 403 has tested nothing. That some operations met little but 404 is only said: moves end
    # what they work on, so that the data of a run runs out.
    print('[warnings]\nfail-on = ["missing_auth"]')
    # Broken data may rightly meet 412 first: a change is refused for its If-Match before its members are looked at.
    refusals = ["400", "401", "403", "404", "405", "406", "409", "412", "413", "415", "422", "428", "429"]
    if user == "billing":
        # Items of a batch are refused one by one, in an answer that says so.
        refusals.append("200")
    print(f"[checks.negative_data_rejection]\nexpected-statuses = {json.dumps(refusals)}")
    if user == "mjones":
        # Staff are refused without a reason that is on the list.
        print('[dictionaries.reason]\nvalues = ["customer-request"]')
    print("[parameters]")
    for name in ids:
        print(f'"path.{name}" = {{ dictionary = "{name}", probability = 1.0 }}')
    if user == "mjones":
        print('"header.X-Access-Reason" = { dictionary = "reason", probability = 0.8 }')


def alive(base, bearer):
    try:
        fetch(f"{base}/api/customer", bearer)
    except urllib.error.HTTPError as error:
        # Staff and services are known, and have no customer of their own.
        if error.code == 401:
            raise


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    try:
        {"ports": ports, "wait": wait, "token": token, "config": config, "alive": alive}[command](*arguments)
    except urllib.error.HTTPError as error:
        sys.exit(f"{error.url} answered {error.code}: {error.read(2000).decode(errors='replace')}")
