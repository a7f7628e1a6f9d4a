"""An ELM327 on our K-line: interpreter (pure), back end (a board in OBD mode), server. See docs/elm327.md."""
