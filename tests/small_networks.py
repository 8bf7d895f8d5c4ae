"""Networks of few weights, for tests of what is around them: Table 1's have seven million."""

SMALL = ("+decoder.widths=[32,16,16]", "+decoder.encoder.widths=[16,16,32]")
