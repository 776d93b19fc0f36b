"""The programs that hold a model and generate pictures: WebUIs, and diffusers alone (standalone)."""
