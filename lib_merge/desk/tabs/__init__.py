"""The tabs of the page, one package each: view (what is shown), handlers (what is done), tab (components)."""
