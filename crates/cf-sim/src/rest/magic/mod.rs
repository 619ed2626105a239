//! Magic Transit's connections and routes: GRE and IPsec tunnels, interconnects, static routes.
//!
//! Documented shapes differ by call: a list and a single one lie below a name of their own, a new one comes bare, changes
//! and deletions answer what they did. Error codes of this product are not documented; only their form is.

mod check;
mod health;
mod kind;
mod table;

use serde_json::{Map, Value, json};

use self::kind::Kind;
pub(crate) use self::table::MagicTable;
use super::{auth, failure, method_not_allowed, no_permission, no_route, success};
use crate::wire::{Reply, Request};
use crate::world::World;

pub(super) fn handle(request: &Request, path: &[&str], world: &World, now: jiff::Timestamp) -> Reply {
    let may = auth::permissions(request, &world.config);
    let reading = request.method == "GET";
    if (reading && !may.magic_read) || (!reading && !may.magic_write) {
        return no_permission();
    }
    let Some((kind, rest)) = path
        .split_first()
        .and_then(|(first, rest)| Some((Kind::of(first)?, rest)))
    else {
        return no_route();
    };
    let mut state = world.lock();
    let call = Call {
        request,
        kind,
        now: now.to_string(),
        resets: world.config.tunnel_put_resets,
    };
    call.answer(rest, &mut state.magic).unwrap_or_else(|refused| *refused)
}

/// One request for one kind of object.
struct Call<'r> {
    request: &'r Request,
    kind: Kind,
    now: String,
    /// A PUT resets what it leaves out.
    resets: bool,
}

impl Call<'_> {
    fn answer(&self, path: &[&str], table: &mut MagicTable) -> Result<Reply, Box<Reply>> {
        let (one, many) = (self.kind.one(), self.kind.many());
        Ok(match (path, self.request.method.as_str()) {
            ([], "GET") => {
                let all: Vec<Value> = table.of(self.kind).iter().map(|v| self.shown(v)).collect();
                self.result([(many.to_owned(), json!(all))])
            }
            ([], "POST") if self.kind.is_made_by_customers() => {
                let whole = check::whole(self.kind, self.kind.defaults(), self.body()?)?;
                table.check_free(self.kind, &whole, None)?;
                let made = table.add(self.kind, whole, &self.now);
                success(&self.shown(&made))
            }
            ([], "PUT") => {
                let body = self.body()?;
                let Some(given) = body.get(many).and_then(Value::as_array) else {
                    return Err(check::bad(&format!("{many} is required")));
                };
                // All or nothing: the second pass cannot fail.
                let mut trial = table.clone();
                let mut changed = Vec::new();
                for each in given {
                    let fields = each.as_object().ok_or_else(|| check::bad("an object is expected"))?;
                    let id = fields.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
                    changed.push(self.change(&mut trial, &id, fields.clone())?);
                }
                *table = trial;
                self.result([
                    ("modified".to_owned(), json!(true)),
                    (format!("modified_{many}"), json!(changed)),
                ])
            }
            ([], "DELETE") if self.kind == Kind::Route => {
                let chosen = self.chosen()?;
                let deleted = table.remove_routes(chosen.as_deref());
                self.result([
                    ("deleted".to_owned(), json!(true)),
                    ("deleted_routes".to_owned(), json!(deleted)),
                ])
            }
            ([id], "GET") => {
                let found = self.shown(table.get(self.kind, id)?);
                self.result([(one.to_owned(), found)])
            }
            ([id], "PUT") => {
                let changed = self.change(table, id, self.body()?)?;
                self.result([
                    ("modified".to_owned(), json!(true)),
                    (format!("modified_{one}"), changed),
                ])
            }
            ([id], "DELETE") if self.kind.is_made_by_customers() => {
                let deleted = self.shown(&table.remove(self.kind, id)?);
                self.result([("deleted".to_owned(), json!(true)), (format!("deleted_{one}"), deleted)])
            }
            ([id, "psk_generate"], "POST") if self.kind == Kind::Ipsec => success(&table.new_psk(id, &self.now)?),
            ([] | [_], _) => method_not_allowed(),
            _ => no_route(),
        })
    }

    fn result(&self, fields: impl IntoIterator<Item = (String, Value)>) -> Reply {
        success(&Value::Object(fields.into_iter().collect()))
    }

    /// As this client wants to see health checks.
    fn shown(&self, object: &Value) -> Value {
        let new_form = self.request.header("x-magic-new-hc-target") == Some("true");
        health::shown(self.kind, object, new_form)
    }

    fn change(&self, table: &mut MagicTable, id: &str, mut fields: Map<String, Value>) -> Result<Value, Box<Reply>> {
        let present = table.get(self.kind, id)?.clone();
        if fields.remove("id").is_some_and(|given| given != id) {
            return Err(check::bad("id cannot be changed"));
        }
        let base = if self.resets {
            self.kind.kept_by_reset(&present)
        } else {
            present
        };
        let whole = check::whole(self.kind, base, fields)?;
        table.check_free(self.kind, &whole, Some(id))?;
        Ok(self.shown(&table.replace(self.kind, id, whole, &self.now)?))
    }

    fn body(&self) -> Result<Map<String, Value>, Box<Reply>> {
        match self.request.json() {
            Ok(Value::Object(fields)) => Ok(fields),
            _ => Err(check::bad("the body is not an object")),
        }
    }

    /// Ids in the body of a bulk deletion; without a body all are meant.
    fn chosen(&self) -> Result<Option<Vec<String>>, Box<Reply>> {
        if self.request.body.is_empty() {
            return Ok(None);
        }
        let body = self.body()?;
        let Some(listed) = body.get("routes").and_then(Value::as_array) else {
            return Err(check::bad("routes is required"));
        };
        let id = |route: &Value| route["id"].as_str().map(str::to_owned);
        let ids: Option<Vec<String>> = listed.iter().map(id).collect();
        ids.map(Some).ok_or_else(|| check::bad("routes need their id"))
    }
}

fn not_found(kind: Kind) -> Box<Reply> {
    Box::new(failure(404, 1000, &format!("{} not found", kind.one())))
}
