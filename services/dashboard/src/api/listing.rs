//! A list of the API: the same filters, rows and order for a page of it and for an export of all of it.

use axum::http::Uri;
use db::lists::Listed;
use db::users::Role;
use db::{DbError, ReadTx};
use serde::Serialize;

use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// Names that every list takes.
pub(crate) const PAGING: [&str; 2] = ["limit", "before"];

/// Parts of a list that are looked through for one page that a person reads.
const MOST_PARTS: usize = 20;

/// Rows of a list, and where the next page begins.
pub(crate) type Rows<L> = Listed<<L as List>::Row, <L as List>::Cursor>;

/// Where a page begins.
pub(crate) trait Cursor: Clone + Send + Serialize + 'static {
    /// Reads where to begin.
    ///
    /// # Errors
    /// 400 for what no answer of ours said.
    fn read(params: &Params) -> Result<Option<Self>, Failure>;
}

impl Cursor for i64 {
    fn read(params: &Params) -> Result<Option<Self>, Failure> {
        params.before()
    }
}

/// A list with its filter.
pub(crate) trait List: Clone + Send + Sized + 'static {
    /// Its name: the key in answers, and the file of an export.
    const NAME: &'static str;
    /// Keys of a row in the order in which a table shows them.
    const COLUMNS: &'static [&'static str];
    /// Names of its filters.
    const FILTERS: &'static [&'static str];
    /// Rows of a page unless the request says otherwise.
    const PAGE: u32 = 50;
    /// Who may read it.
    const NEEDS: Role = Role::Viewer;
    type Row: Serialize + Send + 'static;
    type Cursor: Cursor;

    /// Reads the filter.
    ///
    /// # Errors
    /// 400 for a value that is not understood.
    fn asked(params: &Params) -> Result<Self, Failure>;

    /// A page, newest first.
    ///
    /// # Errors
    /// Those of the database.
    fn read(&self, tx: &ReadTx<'_>, before: Option<Self::Cursor>, limit: u32) -> Result<Rows<Self>, DbError>;
}

/// The page that a request asks for.
pub(crate) async fn page<L: List>(app: &App, member: &Member, uri: &Uri) -> Result<Rows<L>, Failure> {
    member.needs(L::NEEDS)?;
    let params = Params::read(uri.query(), &known::<L>())?;
    let (list, before, limit) = (L::asked(&params)?, L::Cursor::read(&params)?, params.limit(L::PAGE)?);
    Ok(app.db().read(L::NAME, move |tx| list.read(tx, before, limit)).await?)
}

/// The page that a person asks for: goes on looking while it is short, for a while.
pub(crate) async fn pages<L: List>(app: &App, member: &Member, uri: &Uri) -> Result<Rows<L>, Failure> {
    member.needs(L::NEEDS)?;
    let params = Params::read(uri.query(), &known::<L>())?;
    let (list, before, limit) = (L::asked(&params)?, L::Cursor::read(&params)?, params.limit(L::PAGE)?);
    let mut found: Rows<L> = Listed {
        rows: Vec::new(),
        next: before,
        searched_to: None,
    };
    for _ in 0..MOST_PARTS {
        let (list, before) = (list.clone(), found.next.clone());
        let missing = limit.saturating_sub(u32::try_from(found.rows.len()).unwrap_or(limit));
        // Each part is a read of its own: others get their turn between them.
        let part = app.db().read(L::NAME, move |tx| list.read(tx, before, missing)).await?;
        found.rows.extend(part.rows);
        (found.next, found.searched_to) = (part.next, part.searched_to);
        let is_full = found.rows.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        if is_full || found.searched_to.is_none() || found.next.is_none() {
            break;
        }
    }
    Ok(found)
}

/// Everything that a list takes.
fn known<L: List>() -> Vec<&'static str> {
    L::FILTERS.iter().chain(&PAGING).copied().collect()
}
