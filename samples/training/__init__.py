"""How the samples are trained, one module to a stage."""
