/* A classic script, run before the first paint so that a chosen theme does not flash. */
(function () {
  try {
    var chosen = localStorage.getItem('normscope.theme');
    if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen;
  } catch (e) { /* storage may be off: the system's preference holds */ }
})();
