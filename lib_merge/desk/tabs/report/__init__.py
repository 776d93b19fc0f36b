"""Report: how models differ, and what is broken in one."""
