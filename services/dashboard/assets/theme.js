// The reader's choice of colours, before anything is painted: the only script that does not wait for the page.
try {
  const theme = localStorage.getItem('theme');
  if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
} catch { /* a browser that keeps nothing follows the system */ }
