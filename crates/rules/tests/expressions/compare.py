"""The listed expressions, read by the engine that Cloudflare's rules run on (PyPI octorules-wirefilter).

Its nearest scheme is that of packets (magic_firewall). Known differences are listed below with their reason; any other is
printed and ends with 1. On demand only; scripts/expression-oracle makes the environment.
"""

import sys

import octorules_wirefilter as engine

# Not in that scheme, though Cloudflare documents them for overrides; another number field stands in.
STAND_IN = {"ip.proto.num": "ip.ttl"}

# The documentation shows it, the engine of this version does not know it.
NOT_IN_ENGINE = {"true", 'ip.geoip.country eq "GB"'}

# Sections whose lines are about this phase, not about the language.
OTHER_PHASE = ("# fields of other products", "# functions")

# The engine takes it and we do not: it could never apply, is read as something else than it says, or is not documented.
STRICTER = {
    "ip.dst lt 192.0.2.1": "addresses have no order in the documentation",
    "ip.dst >= 192.0.2.1": "addresses have no order in the documentation",
    "tcp.dstport eq 65536": "no such port",
    "tcp.dstport eq -1": "no such port",
    "tcp.dstport eq 0x10000": "no such port",
    "tcp.dstport in {1..65536}": "no such port",
    "ip.ttl gt 256": "no such value",
    "ip.len gt 70000": "no such value",
    "tcp.flags eq 256": "no such value",
    "ip.proto.num eq 256": "no such value",
    "tcp.dstport eq tcp.srcport": "comparing two fields is not documented",
    "ip.dst in {}": "could never apply",
    "ip.dst in {192.0.2.1 80.90}": "read as an address",
    "tcp.dstport in $ports": "lists of numbers are not documented for packets",
    "tcp.dstport in {80-90}": "read as 80 and -90",
}


def accepted(text):
    for field, other in STAND_IN.items():
        text = text.replace(field, other)
    result = engine.parse_expression(text, "magic_firewall")
    error = result.get("error") if isinstance(result, dict) else getattr(result, "error", None)
    return not error


def lines(path):
    section = ""
    for line in open(path, encoding="utf-8"):
        line = line.rstrip("\n")
        if line.startswith("#"):
            section = line
        elif line.strip() and not line.startswith("["):
            yield section, line


def main():
    compared = known = unknown = 0
    for path, wanted in ((sys.argv[1], True), (sys.argv[2], False)):
        for section, line in lines(path):
            text = line if wanted else line.replace("\u00a6", "", 1)
            text = text.strip()
            if not wanted and section in OTHER_PHASE:
                continue
            compared += 1
            if accepted(text) == wanted:
                continue
            if text in NOT_IN_ENGINE or text in STRICTER:
                known += 1
            else:
                unknown += 1
                print("refused by the engine" if wanted else "taken by the engine", text, sep="\t")
    print(f"{compared} compared, {known} known differences, {unknown} others")
    return 1 if unknown else 0


sys.exit(main())
