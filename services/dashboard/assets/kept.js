// Small choices that stay in this browser. One that keeps nothing has the usual ones.

/** What was kept under a name. */
export function kept(name, usual) {
  try { return localStorage.getItem(name) ?? usual; } catch { return usual; }
}

/** Keeps it. */
export function keep(name, value) {
  try { localStorage.setItem(name, value); } catch { /* it holds for this page only */ }
}
