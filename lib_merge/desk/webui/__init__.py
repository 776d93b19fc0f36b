"""What joins the WebUI's own jobs and its X/Y/Z script."""
