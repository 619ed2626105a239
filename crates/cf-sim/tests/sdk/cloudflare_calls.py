"""Cloudflare's own Python SDK, in strict response validation, calls everything that the simulator serves.

cloudflare_calls.py BASE ACCOUNT TOKEN CONTROL

Strict validation raises when an answer does not fit the SDK's types. What is exempt is in QUIRKS, each by its call and the
field, and each must still be needed: an exemption that nothing uses is reported. At the end the simulator's own record says
which endpoints were called and answered well; one of ENDPOINTS that is missing is reported too.
"""

import contextlib
import datetime
import http.server
import json
import re
import sys
import threading
import urllib.request
import warnings

import cloudflare
import pydantic
from cloudflare import Cloudflare
from cloudflare.types.rulesets import RulesetGetResponse

base, account, token, control = sys.argv[1:5]
PREFIX = "a0000000000000000000000203000113"
NETWORK = "b0000000000000000000000203000113"
MANAGED = "3b64149bfa6e4220bbbc2bd6db589552"
UDP = "599dab0942ff4898ac1b7797e954e98b"

# Where the SDK's types are known to differ from what the API sends, and why.
QUIRKS = {
    "duration of a rule": "returned as Go writes it (1m0s), while the type only knows 1m to 60m",
    "pages of rulesets": "the cursor is below result_info.cursors.after, the SDK reads result_info.cursor",
    "history body": "alert_body is typed a string, the specification's own example shows an object",
    "configuration gone": "result is null when there is no configuration",
}

# Every call: method and path below the account, A for an id. Those that the SDK does not have are made with its client.
ENDPOINTS = """
GET /addressing/prefixes · POST /addressing/prefixes · GET /addressing/prefixes/A · PATCH /addressing/prefixes/A · DELETE /addressing/prefixes/A
POST /addressing/prefixes/A/validate · GET /addressing/services
GET /addressing/prefixes/A/delegations · POST /addressing/prefixes/A/delegations · DELETE /addressing/prefixes/A/delegations/A
GET /addressing/prefixes/A/bindings · POST /addressing/prefixes/A/bindings · GET /addressing/prefixes/A/bindings/A · DELETE /addressing/prefixes/A/bindings/A
GET /addressing/prefixes/A/bgp/prefixes · POST /addressing/prefixes/A/bgp/prefixes · GET /addressing/prefixes/A/bgp/prefixes/A
PATCH /addressing/prefixes/A/bgp/prefixes/A · DELETE /addressing/prefixes/A/bgp/prefixes/A
GET /addressing/prefixes/A/bgp/status · PATCH /addressing/prefixes/A/bgp/status
GET /mnm/config · POST /mnm/config · PUT /mnm/config · PATCH /mnm/config · DELETE /mnm/config · GET /mnm/config/full · POST /mnm/vpc-flows/token
GET /mnm/rules · POST /mnm/rules · PUT /mnm/rules · GET /mnm/rules/A · PATCH /mnm/rules/A · DELETE /mnm/rules/A · PATCH /mnm/rules/A/advertisement
GET /magic/gre_tunnels · POST /magic/gre_tunnels · PUT /magic/gre_tunnels · GET /magic/gre_tunnels/A · PUT /magic/gre_tunnels/A · DELETE /magic/gre_tunnels/A
GET /magic/ipsec_tunnels · POST /magic/ipsec_tunnels · PUT /magic/ipsec_tunnels · GET /magic/ipsec_tunnels/A · PUT /magic/ipsec_tunnels/A
DELETE /magic/ipsec_tunnels/A · POST /magic/ipsec_tunnels/A/psk_generate
GET /magic/routes · POST /magic/routes · PUT /magic/routes · DELETE /magic/routes · GET /magic/routes/A · PUT /magic/routes/A · DELETE /magic/routes/A
GET /magic/cf_interconnects · PUT /magic/cf_interconnects · GET /magic/cf_interconnects/A · PUT /magic/cf_interconnects/A
GET /cni/interconnects · POST /cni/interconnects · GET /cni/interconnects/A · DELETE /cni/interconnects/A · GET /cni/interconnects/A/status
GET /cni/interconnects/A/loa · GET /cni/cnis · POST /cni/cnis · GET /cni/cnis/A · PUT /cni/cnis/A · DELETE /cni/cnis/A
GET /cni/slots · GET /cni/slots/A · GET /cni/settings · PUT /cni/settings
GET /rulesets · POST /rulesets · GET /rulesets/A · PUT /rulesets/A · DELETE /rulesets/A · GET /rulesets/A/versions · GET /rulesets/A/versions/A
DELETE /rulesets/A/versions/A · GET /rulesets/A/versions/A/by_tag/A · GET /rulesets/phases/A/entrypoint · PUT /rulesets/phases/A/entrypoint
GET /rulesets/phases/A/entrypoint/versions · GET /rulesets/phases/A/entrypoint/versions/A
POST /rulesets/A/rules · PATCH /rulesets/A/rules/A · DELETE /rulesets/A/rules/A
GET /alerting/v3/available_alerts · GET /alerting/v3/destinations/eligible · GET /alerting/v3/destinations/webhooks · POST /alerting/v3/destinations/webhooks
GET /alerting/v3/destinations/webhooks/A · PUT /alerting/v3/destinations/webhooks/A · DELETE /alerting/v3/destinations/webhooks/A
GET /alerting/v3/policies · POST /alerting/v3/policies · GET /alerting/v3/policies/A · PUT /alerting/v3/policies/A · DELETE /alerting/v3/policies/A
GET /alerting/v3/history · GET /alerting/v3/silences · POST /alerting/v3/silences · PUT /alerting/v3/silences · GET /alerting/v3/silences/A
DELETE /alerting/v3/silences/A · GET /tokens/verify · GET /
"""

problems = []
used = set()
# bgp/status is deprecated, and served all the same.
warnings.simplefilter("ignore", DeprecationWarning)
client = Cloudflare(api_token=token, base_url=base, max_retries=0, _strict_response_validation=True)
mine = {"account_id": account}


def wrong(what):
    problems.append(what)
    print("WRONG:", what)


def check(name, condition):
    if not condition:
        wrong(name)


def quirk(name, place, call):
    """Makes a call whose answer fails strict validation in exactly one known place; answers the raw body."""
    try:
        call()
    except cloudflare.APIResponseValidationError as refused:
        cause = refused.__cause__
        places = [error["loc"] for error in cause.errors()] if isinstance(cause, pydantic.ValidationError) else []
        if places and all(place(loc) for loc in places):
            used.add(name)
            return refused.body
        wrong(f"{name}: fails elsewhere: {places} in {json.dumps(refused.body)[:300]}")
        return refused.body
    return None


def refused(name, status, code, call):
    """The call must be refused with this status and code."""
    try:
        call()
        wrong(f"{name}: not refused")
    except cloudflare.APIStatusError as error:
        codes = [e["code"] for e in (error.body or {}).get("errors", [])] if isinstance(error.body, dict) else []
        if error.status_code != status or code not in codes:
            wrong(f"{name}: {error.status_code} {codes}, not {status} {code}")


def tell(path, body=None):
    """The simulator's control interface."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{control}/{path}", data=data, method="GET" if body is None else "POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@contextlib.contextmanager
def receiver():
    """Takes webhooks; `heads` holds what arrived."""
    arrived = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            arrived.append((self.headers.get("cf-webhook-auth"), json.loads(body)))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", arrived
    finally:
        server.shutdown()


def tokens():
    check("token of the account", client.accounts.tokens.verify(**mine).status == "active")
    check("token of the user", client.user.tokens.verify().status == "active")
    check("account", client.accounts.get(**mine).id == account)
    stranger = Cloudflare(api_token="x" * 40, base_url=base, max_retries=0)
    refused("unknown token", 403, 9109, lambda: stranger.addressing.prefixes.list(**mine))
    refused("unknown token verified", 401, 1000, lambda: stranger.user.tokens.verify())
    malformed = Cloudflare(api_token="short", base_url=base, max_retries=0)
    refused("malformed token", 400, 6003, lambda: malformed.addressing.prefixes.list(**mine))
    refused("other account", 404, 7003, lambda: client.addressing.prefixes.list(account_id="0" * 32))


def addressing():
    prefixes = client.addressing.prefixes
    check("prefixes", len(list(prefixes.list(**mine))) >= 4)
    check("prefix", prefixes.get(PREFIX, **mine).cidr == "203.0.113.0/24")
    check("description", prefixes.edit(PREFIX, description="hosting", **mine).description == "hosting")
    networks = prefixes.bgp_prefixes
    check("networks", [n.id for n in networks.list(PREFIX, **mine)] == [NETWORK])
    for wanted in (True, False):
        done = networks.edit(NETWORK, prefix_id=PREFIX, on_demand={"advertised": wanted}, **mine)
        check(f"advertised {wanted}", done.on_demand.advertised is wanted and isinstance(done.on_demand.advertised_modified_at, datetime.datetime))
    check("prepended", networks.edit(NETWORK, prefix_id=PREFIX, asn_prepend_count=2, **mine).asn_prepend_count == 2)
    check("network", networks.get(NETWORK, prefix_id=PREFIX, **mine).cidr == "203.0.113.0/24")
    check("status", prefixes.advertisement_status.get(PREFIX, **mine).advertised is False)
    check("status set", prefixes.advertisement_status.edit(PREFIX, advertised=True, **mine).advertised is True)
    prefixes.advertisement_status.edit(PREFIX, advertised=False, **mine)
    refused("unknown prefix", 404, 1000, lambda: prefixes.get("0" * 32, **mine))
    refused("unknown network", 404, 1002, lambda: networks.get("0" * 32, prefix_id=PREFIX, **mine))

    made = prefixes.create(cidr="192.0.0.0/24", asn=64500, **mine)
    check("onboarded", made.approved == "P" and made.advertised is None)
    check("validated", prefixes.validate(made.id, **mine).rpki_validation_state == "valid")
    check("deleted prefix", prefixes.delete(made.id, **mine).success)
    part = networks.create(PREFIX, cidr="203.0.113.0/25", **mine)
    check("new network", part.on_demand.advertised is False)
    check("deleted network", networks.delete(part.id, prefix_id=PREFIX, **mine).success)
    delegated = prefixes.delegations.create(PREFIX, cidr="203.0.113.0/28", delegated_account_id="d" * 32, **mine)
    check("delegations", [d.id for d in prefixes.delegations.list(PREFIX, **mine)] == [delegated.id])
    check("delegation ended", prefixes.delegations.delete(delegated.id, prefix_id=PREFIX, **mine).id == delegated.id)
    cdn = next(s for s in client.addressing.services.list(**mine) if s.name == "CDN")
    bound = prefixes.service_bindings.create(PREFIX, cidr="203.0.113.9/32", service_id=cdn.id, **mine)
    check("binding", prefixes.service_bindings.get(bound.id, prefix_id=PREFIX, **mine).provisioning.state == "provisioning")
    check("bindings", len(list(prefixes.service_bindings.list(PREFIX, **mine))) == 2)
    check("unbound", prefixes.service_bindings.delete(bound.id, prefix_id=PREFIX, **mine).success)


def is_duration(loc):
    return loc[-1] == "duration"


def monitoring():
    configs, rules = client.magic_network_monitoring.configs, client.magic_network_monitoring.rules
    check("configuration", configs.get(**mine).default_sampling == 1000)
    check("whole configuration", configs.full.get(**mine).warp_devices == [])
    changed = configs.update(name="Edge", default_sampling=2000, router_ips=["203.0.113.1/32"], **mine)
    check("configuration replaced", changed.router_ips == ["203.0.113.1/32"])
    check("configuration changed", configs.edit(default_sampling=512, **mine).default_sampling == 512)
    check("configuration deleted", configs.delete(**mine).name == "Edge")
    quirk("configuration gone", lambda loc: loc == ("result",), lambda: configs.get(**mine))
    refused("no configuration", 404, 1004, lambda: configs.edit(name="x", **mine))
    configs.create(name="Example Network", default_sampling=1000, **mine)
    refused("second configuration", 409, 1005, lambda: configs.create(name="y", default_sampling=1, **mine))
    check("token of flows", isinstance(client.magic_network_monitoring.vpc_flows.tokens.create(**mine), str))

    common = {"prefixes": ["192.0.2.0/24"], "automatic_advertisement": True, **mine}
    kinds = [
        {"type": "threshold", "bandwidth_threshold": 4e9, "duration": "1m"},
        {"type": "threshold", "packet_threshold": 500000, "duration": "60m"},
        {"type": "zscore", "zscore_sensitivity": "low", "zscore_target": "bits"},
        {"type": "advanced_ddos", "prefix_match": "subnet", "duration": "5m"},
    ]
    for number, kind in enumerate(kinds):
        given = {"name": f"sdk_{number}", **common, **kind}
        body = quirk("duration of a rule", is_duration, lambda: rules.create(**given))
        rule = body["result"]
        quirk("duration of a rule", is_duration, lambda: rules.get(rule["id"], **mine))
        quirk("duration of a rule", is_duration, lambda: rules.edit(rule["id"], **{**given, "automatic_advertisement": False}))
        quirk("duration of a rule", is_duration, lambda: rules.update(**given))
        flag = rules.advertisements.edit(rule["id"], body={}, **mine)
        check("advertisement of a rule", flag.automatic_advertisement is False)
        quirk("duration of a rule", is_duration, lambda: rules.delete(rule["id"], **mine))
    quirk("duration of a rule", is_duration, lambda: list(rules.list(**mine)))
    refused("unknown rule", 404, 1009, lambda: rules.get("0" * 32, **mine))


def execute(expression="true", **overrides):
    return {"action": "execute", "expression": expression, "description": "sdk", "enabled": True,
            "action_parameters": {"id": MANAGED, "overrides": overrides}}


def whole(answer):
    """Writes answer a ruleset or, for a trial, null; the SDK's union of the two accepts anything, so it is checked here."""
    return RulesetGetResponse.model_validate(answer)


def rulesets():
    sets = client.rulesets
    phase = "ddos_l4"
    low = {"rules": [{"id": UDP, "sensitivity_level": "low"}]}
    refused("no entry point", 404, 10003, lambda: sets.phases.get(phase, **mine))
    listed = sets.list(per_page=1, **mine)
    check("one a page", len(listed.result) == 1)
    if listed.result_info.cursor is None and listed.result_info.model_extra["cursors"]["after"]:
        used.add("pages of rulesets")
    check("all", len(sets.list(**mine).result) == 2)
    managed = sets.get(MANAGED, **mine)
    check("managed", len(managed.rules) == 124 and managed.kind == "managed")
    actions = {rule.action for rule in managed.rules}
    check("actions", actions == {"block", "ddos_dynamic", "log"})
    made = whole(sets.phases.update(phase, rules=[execute(**low)], description="by the SDK", **mine))
    check("entry point", (made.kind, made.version, made.description) == ("root", "1", "by the SDK"))
    check("entry point read", sets.phases.get(phase, **mine).rules[0].action_parameters.overrides.rules[0].sensitivity_level == "low")
    added = whole(sets.rules.create(made.id, position={"before": ""}, **execute("ip.dst in {192.0.2.0/24}", sensitivity_level="medium"), **mine))
    first, second = (rule.id for rule in added.rules)
    check("added", second == made.rules[0].id and added.version == "2")
    changed = whole(sets.rules.edit(first, ruleset_id=made.id, **execute("ip.dst in {192.0.2.0/25}", action="log"), **mine))
    check("changed", changed.rules[0].version == "2")
    moved = whole(sets.rules.edit(first, ruleset_id=made.id, position={"index": 2}, **mine))
    check("moved", [rule.id for rule in moved.rules] == [second, first] and moved.rules[1].version == "2")
    check("trial", sets.rules.create(made.id, dry_run=True, **execute(**low), **mine) is None)
    check("nothing changed", sets.get(made.id, **mine).version == moved.version)
    refused("not an override", 400, 20120, lambda: sets.rules.create(made.id, **execute(action="ddos_dynamic"), **mine))
    refused("not an expression", 400, 20125, lambda: sets.rules.create(made.id, dry_run=True, **execute("ip.dst.port eq 53"), **mine))
    check("versions", [v.version for v in sets.versions.list(made.id, **mine)] == ["4", "3", "2", "1"])
    check("a version", len(sets.versions.get("1", ruleset_id=made.id, **mine).rules) == 1)
    check("versions of the phase", len(list(sets.phases.versions.list(phase, **mine))) == 4)
    check("a version of the phase", sets.phases.versions.get("2", ruleset_phase=phase, **mine).version == "2")
    tagged = client.get(f"/accounts/{account}/rulesets/{MANAGED}/versions/{managed.version}/by_tag/gre", cast_to=object)
    check("by tag", {r["ref"][:3] for r in tagged["result"]["rules"]} == {"GRE", "ENT"})
    sets.versions.delete("1", ruleset_id=made.id, **mine)
    check("removed", len(whole(sets.rules.delete(first, ruleset_id=made.id, **mine)).rules) == 1)
    check("replaced", whole(sets.update(made.id, rules=[], description="empty", **mine)).rules == [])
    sets.delete(made.id, **mine)
    refused("gone", 404, 10003, lambda: sets.phases.get(phase, **mine))
    block = {"action": "block", "expression": "ip.src in {198.51.100.0/24}"}
    custom = whole(sets.create(kind="custom", name="blocklist", phase="magic_transit", rules=[block], **mine))
    check("custom", custom.kind == "custom" and custom.rules[0].action == "block")
    sets.delete(custom.id, **mine)


def tunnels():
    transit = client.magic_transit
    new = {"x_magic_new_hc_target": True}
    gre = {"cloudflare_gre_endpoint": "198.51.100.9", "customer_gre_endpoint": "192.0.2.9", "interface_address": "10.213.1.0/31", "name": "sdk-gre"}
    made = transit.gre_tunnels.create(**gre, bgp={"customer_asn": 64500}, **mine)
    check("GRE", made.mtu == 1476 and made.health_check.target == "192.0.2.9" and made.bgp_status.state == "BGP_ESTABLISHING")
    got = transit.gre_tunnels.get(made.id, **new, **mine).gre_tunnel
    check("new form of targets", got.health_check.target.effective == "192.0.2.9")
    done = transit.gre_tunnels.update(made.id, **gre, health_check={"rate": "high", "target": {"saved": "192.0.2.8"}}, **mine)
    check("GRE changed", done.modified and done.modified_gre_tunnel.health_check.target == "192.0.2.8")
    listed = transit.gre_tunnels.list(**mine).gre_tunnels
    check("GRE tunnels", len(listed) == 3 and any(t.bgp_status and t.bgp_status.state == "BGP_UP" for t in listed))
    bulk = transit.gre_tunnels.bulk_update(body={"gre_tunnels": [{"id": made.id, "description": "bulk"}]}, **mine)
    check("GRE in bulk", bulk.modified_gre_tunnels[0].description == "bulk")
    check("GRE deleted", transit.gre_tunnels.delete(made.id, **mine).deleted_gre_tunnel.id == made.id)

    ipsec = {"cloudflare_endpoint": "198.51.100.9", "interface_address": "10.213.1.2/31", "name": "sdk-ipsec"}
    made = transit.ipsec_tunnels.create(**ipsec, psk="secret", customer_endpoint="192.0.2.9", replay_protection=True, **mine)
    check("IPsec", made.replay_protection and made.allow_null_cipher is False)
    done = transit.ipsec_tunnels.update(made.id, **ipsec, description="changed", **mine)
    check("IPsec changed", done.modified_ipsec_tunnel.description == "changed")
    check("key", transit.ipsec_tunnels.psk_generate(made.id, **mine).psk)
    check("IPsec tunnel", transit.ipsec_tunnels.get(made.id, **mine).ipsec_tunnel.psk_metadata.last_generated_on)
    check("IPsec tunnels", len(transit.ipsec_tunnels.list(**mine).ipsec_tunnels) == 2)
    bulk = transit.ipsec_tunnels.bulk_update(body={"ipsec_tunnels": [{"id": made.id, "description": "bulk"}]}, **mine)
    check("IPsec in bulk", bulk.modified_ipsec_tunnels[0].description == "bulk")
    check("IPsec deleted", transit.ipsec_tunnels.delete(made.id, **mine).deleted)

    route = {"prefix": "192.0.2.0/25", "nexthop": "10.213.0.11", "priority": 10}
    made = transit.routes.create(**route, scope={"colo_names": ["fra01"]}, **mine)
    check("route", made.scope.colo_names == ["fra01"])
    check("route changed", transit.routes.update(made.id, **route, description="d", **mine).modified_route.description == "d")
    check("route read", transit.routes.get(made.id, **mine).route.priority == 10)
    bulk = transit.routes.bulk_update(routes=[{"id": made.id, **route, "weight": 5}], **mine)
    check("routes in bulk", bulk.modified_routes[0].weight == 5)
    check("route deleted", transit.routes.delete(made.id, **mine).deleted_route.id == made.id)
    there = len(transit.routes.list(**mine).routes)
    check("routes emptied", len(transit.routes.empty(**mine).deleted_routes) == there > 0)

    connect = transit.cf_interconnects
    one = connect.list(**mine).interconnects[0]
    check("interconnect", connect.get(one.id, **new, **mine).interconnect.health_check.target.effective)
    check("interconnect changed", connect.update(one.id, mtu=1400, **mine).modified_interconnect.mtu == 1400)
    bulk = connect.bulk_update(body={"interconnects": [{"id": one.id, "mtu": 1500}]}, **mine)
    check("interconnects in bulk", bulk.modified_interconnects[0].mtu == 1500)


def interconnects():
    net = client.network_interconnects
    slot = net.slots.list(occupied=False, **mine).items[0]
    check("slot", net.slots.get(slot.id, **mine).occupied is False)
    made = net.interconnects.create(account=account, slot_id=slot.id, type="v2", **mine)
    check("interconnect", net.interconnects.get(made.name, **mine).facility.address)
    check("interconnects", len(net.interconnects.list(**mine).items) == 2)
    page = net.interconnects.list(limit=1, **mine)
    check("pages", page.next == 1 and net.interconnects.list(limit=1, cursor=1, **mine).next is None)
    for state in ("Pending", "Down", "Unhealthy", "Healthy"):
        tell(f"interconnects/{made.name}", {"state": state, "reason": "by the test"})
        check(f"status {state}", net.interconnects.status(made.name, **mine).state == state)
    net.interconnects.loa(made.name, **mine)
    cni = net.cnis.create(account=account, interconnect=made.name, magic={"conduit_name": "sdk", "description": "", "mtu": 1500}, **mine)
    whole = net.cnis.get(cni.id, **mine).to_dict()
    whole["magic"]["description"] = "changed"
    check("CNI changed", net.cnis.update(cni.id, **whole, **mine).magic.description == "changed")
    check("CNIs", len(net.cnis.list(**mine).items) == 2)
    net.cnis.delete(cni.id, **mine)
    net.interconnects.delete(made.name, **mine)
    net.settings.update(default_asn=64511, **mine)
    check("settings", net.settings.get(**mine).default_asn == 64511)


def alerting():
    alerts = client.alerting
    available = alerts.available_alerts.list(**mine)
    check("available", any(a.type == "fbm_auto_advertisement" for a in available["Magic Transit"]))
    check("eligible", alerts.destinations.eligible.get(**mine)["webhook"][0].eligible)
    with receiver() as (url, arrived):
        hooks = alerts.destinations.webhooks
        made = hooks.create(name="SDK", url=url, secret="hush", **mine)
        check("test message", arrived[0][0] == "hush" and list(arrived[0][1]) == ["text"])
        check("webhook", hooks.get(made.id, **mine).type == "generic")
        check("webhook changed", hooks.update(made.id, name="Renamed", url=url, **mine).id == made.id)
        check("webhooks", "Renamed" in [h.name for h in hooks.list(**mine)])
        refused("no receiver", 400, 0, lambda: hooks.create(name="x", url="http://127.0.0.1:1/", **mine))
        policy = alerts.policies.create(name="SDK", alert_type="advanced_ddos_attack_l4_alert", enabled=True,
                                        mechanisms={"webhooks": [{"id": made.id}]}, filters={"protocol": ["UDP"]}, **mine)
        check("policy", alerts.policies.get(policy.id, **mine).mechanisms.webhooks[0].id == made.id)
        check("policies", len(list(alerts.policies.list(**mine))) >= 7)
        check("policy changed", alerts.policies.update(policy.id, description="d", **mine).id == policy.id)
        tell("webhook", {"template": "l4_start"})
        check("alert", arrived[-1][1]["alert_type"] == "advanced_ddos_attack_l4_alert" and arrived[-1][0] == "hush")
        now = datetime.datetime.now(datetime.timezone.utc)
        span = {"policy_id": policy.id, "start_time": now.isoformat(), "end_time": (now + datetime.timedelta(hours=1)).isoformat()}
        check("silence", alerts.silences.create(body=[span], **mine).success)
        silence = list(alerts.silences.list(**mine))[0]
        changed = alerts.silences.update(body=[{"id": silence.id, "end_time": span["end_time"]}], **mine)
        check("silence changed", [s.id for s in changed] == [silence.id])
        check("silence read", alerts.silences.get(silence.id, **mine).policy_id == policy.id)
        check("silence ended", alerts.silences.delete(silence.id, **mine).success)
        refused("no mechanism", 400, 17102, lambda: alerts.policies.update(policy.id, mechanisms={}, **mine))
        refused("no such alert", 400, 17004, lambda: alerts.policies.update(policy.id, alert_type="nonsense", **mine))
        check("policy deleted", alerts.policies.delete(policy.id, **mine).success)
        check("webhook deleted", hooks.delete(made.id, **mine).success)
    for number in range(7):
        body = {"data": {"n": number}}
        tell("history", {"alert_type": "incident_alert", "alert_body": json.dumps(body)})
    pages = alerts.history.list(per_page=5, **mine)
    check("history", len(pages.result) == 5 and len(list(pages)) == 8)
    tell("history", {"alert_type": "incident_alert", "alert_body": {"data": {}}})
    quirk("history body", lambda loc: loc[-1] == "alert_body", lambda: alerts.history.list(per_page=5, **mine))


def every_endpoint_was_called():
    ids = re.compile(r"[0-9a-f]{32}|[0-9a-f-]{36}|\d+|fra01-example-\d|gre|ddos_l4|magic_transit")
    called = set()
    for entry in tell("requests"):
        path = entry["path"].removeprefix("/client/v4/accounts/").removeprefix(account)
        if entry["surface"] == "rest" and entry["status"] and entry["status"] < 300:
            parts = ["A" if ids.fullmatch(part) else part for part in path.split("/")[1:]]
            called.add(f"{entry['method']} /{'/'.join(parts)}")
    wanted = [e.strip() for line in ENDPOINTS.strip().splitlines() for e in line.split("·")]
    for endpoint in wanted:
        check(f"never called well: {endpoint}", endpoint in called)
    return len(wanted)


for part in (tokens, addressing, monitoring, rulesets, tunnels, interconnects, alerting):
    try:
        part()
    except Exception as problem:  # noqa: BLE001 - whatever happened, the other parts are still worth running
        body = getattr(problem, "body", "")
        wrong(f"{part.__name__}: {type(problem).__name__}: {problem} {problem.__cause__ or ''} {str(body)[:400]}")
count = every_endpoint_was_called()
for name in QUIRKS.keys() - used:
    wrong(f"the exemption is not needed: {name}")
print(f"{count} endpoints with the SDK {cloudflare.__version__}, {len(QUIRKS)} known quirks, {len(problems)} problems")
sys.exit(1 if problems else 0)
