"""Block weights: lists, rules, presets, and the notations of other tools."""
