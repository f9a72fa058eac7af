"""The lab of real servers, as the appliance's service and as a scan see it.

usage: lab.py config TRUTH                   a configuration that watches all of it
       lab.py scan TRUTH                     the arguments of a scan that asks the same
       lab.py compare TRUTH OUTSIDE INSIDE   says what differs; fails if anything does

OUTSIDE is what `sonde scan -o json` printed, INSIDE what `sonde inventory -o json`
did. Every endpoint that either of them knows is compared. A server that turned one
of them away, as it limits its clients, told that one nothing; a few may.
"""
import ipaddress
import json
import sys

# What both are told to do: quick, and with every probe there is.
LIMITS = {"packets_per_second": 4000, "host_packets_per_second": 400, "host_connections": 8}

# A server that is another one after each connection answers nobody twice alike.
RESTLESS = {"openvpn": "it serves one peer at a time, and restarts when that leaves"}

TURNED_AWAY_MOST = 5

FACTS = ("tunnel", "service", "product", "version", "info", "hostname", "os", "device", "cpe")


def addresses(truth):
    found = {t[key] for t in truth for key in ("addr", "addr6") if t.get(key)}
    return sorted(found, key=lambda a: (":" in a, ipaddress.ip_address(a)))


def ports(truth, proto):
    return ",".join(map(str, sorted({t["port"] for t in truth if t["proto"] == proto})))


def config(truth):
    print("[limits]")
    for name, value in LIMITS.items():
        print(f"{name} = {value}")
    print(f"""host_new_connections_per_second = 200
connections = 2000
[discovery]
source_ports = "62000-62255"
[passive]
enabled = false
[[watch]]
name = "lab"
targets = {json.dumps(addresses(truth))}
tcp_ports = "{ports(truth, 'tcp')}"
udp_ports = "{ports(truth, 'udp')}"
discover_every = "1h"
verify_every = "1h"
rpc = "grind"
credentials = true
held = true
industrial = true
best_effort = true""")


def scan(truth):
    print("--rate", LIMITS["packets_per_second"], "--host-rate", LIMITS["host_packets_per_second"],
          "--host-connections", LIMITS["host_connections"], "--credentials --include-held --industrial",
          "-p", f"T:{ports(truth, 'tcp')},U:{ports(truth, 'udp')}", *addresses(truth))


def seen(path):
    """What is known by endpoint: its facts, and the certificates that it showed."""
    found = {}
    with open(path) as lines:
        for line in lines:
            o = json.loads(line)
            if o.get("state") == "open|filtered":
                continue
            if o.get("outcome") != "answered" or o.get("strength") in (None, "none", "table"):
                found[o["addr"], o["transport"], o["port"]] = None
                continue
            certificates = [t["cert"]["sha256"] for t in o.get("tls") or [] if t.get("cert")]
            found[o["addr"], o["transport"], o["port"]] = {
                **{f: o[f] for f in FACTS if o.get(f)}, **({"certificates": certificates} if certificates else {})}
    return found


def compare(truth, outside, inside):
    outside, inside = seen(outside), seen(inside)
    restless = {t[key]: t["box"] for t in truth for key in ("addr", "addr6") if t.get(key) and t["box"] in RESTLESS}
    different = same = named = away = 0
    for key in sorted(set(outside) | set(inside), key=str):
        if key[0] in restless:
            continue
        out, within = outside.get(key, {}), inside.get(key, {})
        if out == within:
            same += 1
            named += "product" in (out or {})
        elif out is None or within is None:
            away += 1
            print(*key, "told nothing to who came", "from outside" if out is None else "from inside")
        else:
            different += 1
            print(*key, "differs:", f"\n  outside {out}\n  inside  {within}")
    known = sum(1 for t in truth if (t["addr"], t["proto"], t["port"]) in inside)
    for box in sorted(set(restless.values())):
        print(f"{box} is left out, as {RESTLESS[box]}")
    print(f"lab: same={same} different={different} turned_away={away} products={named} known={known}/{len(truth)}"
          f" ipv6={sum(1 for k in inside if ':' in k[0])}")
    # Nothing may differ, and a lab of which little is seen proves little.
    return different == 0 and away <= TURNED_AWAY_MOST and known * 10 >= len(truth) * 9


def main(what, truth, *files):
    with open(truth) as f:
        truth = json.load(f)
    if what == "compare":
        sys.exit(not compare(truth, *files))
    {"config": config, "scan": scan}[what](truth)


main(*sys.argv[1:])
