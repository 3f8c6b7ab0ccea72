"""`python -m holdcheck evaluate`: how good the served models are on a labelled data set.

Never imported by what serves. `run` measures, `tables` prints, `figures` names what is measured and holds it
to floors, `parity` runs both runtimes side by side, `worst` draws the worst photos (docs/accuracy.md).
"""
