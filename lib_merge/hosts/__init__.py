"""What runs inside or beside a host: drawing without a WebUI, and later each WebUI's own glue."""
