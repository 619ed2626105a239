//! A list of the API: the same filters, rows and order for a page of it and for an export of all of it.

use axum::http::Uri;
use db::users::Role;
use db::{DbError, ReadTx};
use serde::Serialize;

use super::params::Params;
use crate::accounts::Member;
use crate::answer::Failure;
use crate::app::App;

/// Names that every list takes.
pub(crate) const PAGING: [&str; 2] = ["limit", "before"];

/// Rows of a list, and where the next page begins.
pub(crate) type Rows<L> = (Vec<<L as List>::Row>, Option<<L as List>::Cursor>);

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
    /// Where a page begins.
    type Cursor: Clone + Send + Serialize + 'static;

    /// Reads the filter.
    ///
    /// # Errors
    /// 400 for a value that is not understood.
    fn asked(params: &Params) -> Result<Self, Failure>;

    /// Reads where to begin.
    ///
    /// # Errors
    /// 400 for what no answer of ours said.
    fn cursor(params: &Params) -> Result<Option<Self::Cursor>, Failure>;

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
    let (list, before, limit) = (L::asked(&params)?, L::cursor(&params)?, params.limit(L::PAGE)?);
    Ok(app.db().read(L::NAME, move |tx| list.read(tx, before, limit)).await?)
}

/// Everything that a list takes.
fn known<L: List>() -> Vec<&'static str> {
    L::FILTERS.iter().chain(&PAGING).copied().collect()
}
