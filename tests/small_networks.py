"""Networks of few weights, for tests of what is around them: Table 1's have seven million."""

SMALL = ("+decoder.widths=[32,16,16]", "+decoder.encoder.widths=[16,16,32]")

# What else a method is given for that: a second network of its own, a prior that learns.
ALSO = {
    "two_stage_vae": ("method.width=16",),
    "lebm": ("prior.width=8", "prior.steps=3"),
    "latent_flow": ("prior.width=8", "prior.transforms=2"),
    "latent_diffusion": ("prior.width=8", "prior.levels=4", "prior.updates=2"),
}


def small(method):
    """The method, on small networks."""
    return (f"method={method}", *SMALL, *ALSO.get(method, ()))
