"""Our GraphQL documents and the simulator's answers against the schema, with an implementation that is not ours.

check.py SCHEMA BASE ACCOUNT TOKEN DOCUMENT_FOLDER OUR_FOLDER

1. The schema is one, and graphql-core finds every document of ours, of the documentation and of the predecessor valid in
   it, and every document of `invalid` not.
2. The simulator decides the same.
3. Its answers are what graphql-core would let a server answer: exactly the fields that were asked, each of its type.
4. The same for documents made at random from the schema (fixed seed), and for the same with one name misspelt.

The service takes String, Int, Float and Boolean where its schema has types of its own; variables are renamed before a
document is validated. Prints a line for what is wrong, and last what was done; the exit code is 1 when something is wrong.
"""

import datetime
import json
import pathlib
import random
import re
import sys
import urllib.error
import urllib.request

import graphql
from graphql import language

NAMES = {"String": "string", "ID": "string", "Int": "uint64", "Float": "float64", "Boolean": "bool"}
INTEGERS = {"uint8": (0, 2**8), "uint16": (0, 2**16), "uint32": (0, 2**32), "uint64": (0, 2**64), "int64": (-(2**63), 2**63)}
OPERATORS = ["_neq", "_geq", "_gt", "_leq", "_lt", "_in", "_notin", "_like", "_notlike", "_has", "_hasall", "_hasany", ""]
RANDOM_DOCUMENTS = 150
SEED = 20260401

schema_file, base, account, token, documents, ours = sys.argv[1:7]
problems = []


def wrong(what):
    problems.append(what)
    print("WRONG:", what)


def now(minutes=0):
    at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=minutes)
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def integer(name):
    low, high = INTEGERS[name]

    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
            raise graphql.GraphQLError(f"{value!r} is no {name}")
        return value

    return check


def of_kind(name, kinds, also=lambda value: True):
    def check(value):
        if isinstance(value, bool) and bool not in kinds or not isinstance(value, kinds) or not also(value):
            raise graphql.GraphQLError(f"{value!r} is no {name}")
        return value

    return check


def instant(value):
    return re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", value) is not None


def day(value):
    return re.fullmatch(r"\d{4}-\d\d-\d\d", value) is not None


CHECKS = {name: integer(name) for name in INTEGERS} | {
    "string": of_kind("string", (str,)),
    "bool": of_kind("bool", (bool,)),
    "Time": of_kind("Time", (str,), instant),
    "Date": of_kind("Date", (str,), day),
    "float32": of_kind("float32", (int, float)),
    "float64": of_kind("float64", (int, float)),
    "bytes": of_kind("bytes", (str,)),
}


def fold(name):
    """All widths of integers are one while documents are validated, as the service has it."""
    if name in INTEGERS:
        return "uint64"
    return "float64" if name == "float32" else NAMES.get(name, name)


class Folding(language.Visitor):
    def enter_named_type(self, node, *_):
        name = fold(node.name.value)
        if name != node.name.value:
            return language.NamedTypeNode(name=language.NameNode(value=name))


class Variables(language.Visitor):
    """A nullable variable with a value may stand where a value is required."""

    def enter_variable_definition(self, node, *_):
        kind = node.type
        if not isinstance(kind, language.NonNullTypeNode):
            kind = language.NonNullTypeNode(type=kind)
        node.type = kind


text = pathlib.Path(schema_file).read_text()
exact = graphql.build_schema(text)
for type_name, check in CHECKS.items():
    exact.type_map[type_name].serialize = check
folded = graphql.build_ast_schema(language.visit(language.parse(text), Folding()), assume_valid=True)
whole = graphql.build_schema(text)
for error in graphql.validate_schema(whole):
    wrong(f"the schema: {error.message}")


def validate(document):
    try:
        parsed = language.visit(language.visit(language.parse(document), Folding()), Variables())
    except graphql.GraphQLSyntaxError as error:
        return [error]
    return graphql.validate(folded, parsed)


def post(path, body):
    request = urllib.request.Request(base + path, json.dumps(body).encode(), {"content-type": "application/json", "authorization": "Bearer " + token})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        return json.load(error)


def variables(document):
    values = {}
    for definition in language.parse(document).definitions:
        for variable in getattr(definition, "variable_definitions", None) or ():
            name = variable.variable.name.value
            kind = language.print_ast(variable.type).rstrip("!")
            if kind == "Time":
                late = re.search("to$|end|until", name.lower())
                values[name] = now(0 if late else -45)
            elif "account" in name.lower() or name == "a":
                values[name] = account
            elif kind.startswith("["):
                values[name] = []
            elif kind in ("string", "String"):
                values[name] = "none"
            else:
                values[name] = 100
    return values


def answer_of(name, document):
    """The simulator's answer, after it was held against the schema."""
    answer = post("/client/v4/graphql", {"query": document, "variables": variables(document)})
    if set(answer) != {"data", "errors"}:
        wrong(f"{name}: an answer has data and errors, and this one {sorted(answer)}")
    if answer.get("errors") is not None:
        return answer
    parsed = language.visit(language.parse(document), Folding())

    def resolve(source, info, **_):
        return source[info.path.key]

    result = graphql.execute(
        exact, strip_variables(parsed), root_value=answer["data"], field_resolver=resolve
    )
    for error in result.errors or ():
        wrong(f"{name}: the answer does not fit the schema at {error.path}: {error.message}")
    if not result.errors and result.data != answer["data"]:
        wrong(f"{name}: the answer has fields that nobody asked for")
    return answer


class Arguments(language.Visitor):
    """Values of arguments decide what is answered, not what shape it has."""

    def enter_operation_definition(self, node, *_):
        node.variable_definitions = ()

    def enter_field(self, node, *_):
        node.arguments = ()


def strip_variables(document):
    stripped = language.visit(document, Arguments())
    return stripped


# Arguments are required by the schema that answers are held against: there they are not.
for named in exact.type_map.values():
    if isinstance(named, graphql.GraphQLObjectType) and not named.name.startswith("__"):
        for field in named.fields.values():
            field.args = {}


def scalar(kind, dice):
    name = str(kind).strip("[]!")
    if name in INTEGERS:
        return dice.choice([0, 1, 6, 17, 53, 80, 200])
    return {
        "string": lambda: dice.choice(["", "drop", "pass", "udp-flood", "203.0.113.10", "dosd", "edge-one"]),
        "bool": lambda: dice.random() < 0.5,
        "Time": lambda: now(-dice.randrange(2, 40)),
        "Date": lambda: now()[:10],
        "bytes": lambda: "\x06\x11",
    }.get(name, lambda: round(dice.random() * 100, 3))()


NODES = [
    (name, graphql.get_named_type(field.type), field)
    for name, field in whole.type_map["account"].fields.items()
    if "filter" in field.args
]


def fill(dice):
    """Rows with a value in every dimension, in every node."""
    rows = []
    for name, kind, _ in NODES:
        dimensions = kind.fields["dimensions"].type if "dimensions" in kind.fields else kind
        for minute in range(2, 40, 3):
            given = {}
            for dimension, field in graphql.get_named_type(dimensions).fields.items():
                if dimension.startswith("date") or dimension in ("packets", "bits", "ipSourceSubnet", "ipDestinationSubnet"):
                    continue
                value = scalar(field.type, dice)
                given[dimension] = [value] if str(field.type).startswith("[") else value
            for extra in ("tunnelState", "lossPercentage", "sampleInterval"):
                if extra in ("sampleInterval",) or "Health" in name:
                    given[extra] = 1000 if extra == "sampleInterval" else 0.5
            given.update({"total": 10, "failures": 3} if "Endpoint" in name else {})
            rows.append({"node": name, "at": now(-minute), "visible_at": now(-minute), "dimensions": given, "packets": 1000 * minute, "bits": 8_000_000 * minute})
    got = post("/_sim/traffic", {"rows": rows})
    if got.get("rows") != len(rows):
        wrong(f"rows were not taken: {got}")


def literal(value):
    return json.dumps(value)


def made(dice):
    """A valid document about one node."""
    name, kind, field = dice.choice(NODES)
    filter_type = graphql.get_named_type(field.args["filter"].type)
    order_type = graphql.get_named_type(field.args["orderBy"].type)
    time = "startDatetime" if name == "dosdAttackAnalyticsGroups" else "datetime"

    def conditions(count):
        wanted = {}
        for _ in range(count):
            key = dice.choice([f for f in filter_type.fields if f not in ("AND", "OR") and not f.startswith(time)])
            kind = filter_type.fields[key].type
            value = scalar(kind, dice)
            wanted[key] = [value, scalar(kind, dice)] if str(kind).startswith("[") else value
        return ", ".join(f"{key}: {literal(value)}" for key, value in wanted.items())

    parts = [f'{time}_geq: "{now(-45)}"', conditions(dice.randrange(0, 2))]
    if dice.random() < 0.4:
        parts.append("OR: [{%s}, {%s}]" % (conditions(1), conditions(2)))
    if dice.random() < 0.3:
        parts.append("AND: [{%s}]" % conditions(1))
    order = dice.sample(list(order_type.values), dice.randrange(0, 3))
    selections = []
    if "dimensions" in kind.fields:
        groups = [part for part in ("dimensions", "sum", "avg") if part in kind.fields]
        for group in dice.sample(groups, dice.randrange(1, len(groups) + 1)):
            fields = list(graphql.get_named_type(kind.fields[group].type).fields)
            chosen = dice.sample(fields, min(len(fields), dice.randrange(1, 8)))
            selections.append("%s { %s }" % (group, " ".join(chosen)))
        if "count" in kind.fields:
            selections.append("count")
    else:
        selections = dice.sample(list(kind.fields), 9)
    arguments = "filter: {%s}, limit: %d" % (", ".join(part for part in parts if part), dice.choice([1, 3, 1000]))
    if order:
        arguments += ", orderBy: [%s]" % ", ".join(order)
    return "query($a: String!) { cost viewer { budget accounts(filter: {accountTag: $a}) { rows: %s(%s) { %s } } } }" % (
        name,
        arguments,
        " ".join(selections),
    )


def misspelt(document, dice):
    """One field, condition or order of a document with a letter too many."""
    places = [m for m in re.finditer(r"\b[a-z][A-Za-z_0-9]{3,}\b(?=[ :,}\]])", document) if m.group() not in ("query", "rows", "null", "true", "false")]
    places = [m for m in places if document[: m.start()].count('"') % 2 == 0 and m.start() > document.index("accountTag: $a")]
    place = dice.choice(places)
    return document[: place.end()] + "q" + document[place.end() :]


dice = random.Random(SEED)
fill(dice)
checked = {"valid": 0, "invalid": 0, "random": 0, "rows": 0}


def expect(name, document, valid):
    errors = validate(document)
    if valid and errors:
        wrong(f"{name}: graphql-core: {errors[0].message}")
    if not valid and not errors:
        wrong(f"{name}: graphql-core finds nothing wrong with it")
    answer = answer_of(name, document)
    if valid and answer["errors"] is not None:
        wrong(f"{name}: the simulator refuses it: {answer['errors'][0]['message']}\n{document}")
    if not valid and (answer["errors"] is None or answer["data"] is not None):
        wrong(f"{name}: the simulator answers it\n{document}")
    accounts = ((answer["data"] or {}).get("viewer") or {}).get("accounts") or [{}]
    checked["rows"] += sum(len(v) for v in accounts[0].values() if isinstance(v, list))


for path in sorted(pathlib.Path(ours).glob("*.graphql")) + sorted(pathlib.Path(documents, "valid").glob("*.graphql")):
    if path.name != "schema.graphql":
        expect(path.name, path.read_text(), True)
        checked["valid"] += 1
for path in sorted(pathlib.Path(documents, "invalid").glob("*.graphql")):
    expect(path.name, path.read_text(), False)
    checked["invalid"] += 1
for index in range(RANDOM_DOCUMENTS):
    document = made(dice)
    expect(f"random document {index}", document, True)
    if index % 3 == 0:
        expect(f"misspelt document {index}", misspelt(document, dice), False)
    checked["random"] += 1

if min(checked["valid"], checked["invalid"]) < 10 or checked["rows"] < 100:
    wrong(f"hardly anything was checked: {checked}")
print(f"checked: {checked}; wrong: {len(problems)}")
sys.exit(1 if problems else 0)
