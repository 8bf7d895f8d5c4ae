"""The same images under every convention in the wild, for several kinds of images.

    python benchmarks/parity.py --weights inception.npz \\
        --pair digits results/runs/.../seed=0 mnist5k 64 --pair faces faces/a faces/b 768

Each ``--pair`` is a name, two sets of images as ``ltvm metric-parity`` takes them (a folder, a run,
a data set) and the feature size of Inception, or the name of another extractor (``digits``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from common import publish

from ltvm import scoring


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = ("NAME", "IMAGES", "AGAINST", "FEATURES")
    parser.add_argument("--pair", nargs=4, metavar=names, action="append", required=True)
    parser.add_argument("--weights", help="of Inception, .npz if folded (default: downloaded)")
    parser.add_argument("--samples", type=int, help="of runs (default: as their protocol says)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="write parity.md and parity.json there")
    options = parser.parse_args()

    rows: list[dict[str, Any]] = []
    raw: list[dict[str, Any]] = []
    for name, images, against, features in options.pair:
        extractor: dict[str, Any] = {"extractor": features}
        if features.isdigit():
            kind = "inception_folded" if str(options.weights).endswith(".npz") else "inception"
            extractor = {
                "extractor": kind, "dimension": int(features), "weights": options.weights,
            }  # fmt: skip
        samples = options.samples if scoring.holds_runs(Path(images)) else None
        request = scoring.Request(
            images, against, samples=samples, device=options.device, **extractor
        )
        start = time.perf_counter()
        scored, table = scoring.read(request), scoring.metric_parity(request)
        shape = "x".join(map(str, scored.real.images.shape[1:]))
        for row in table.to_dict("records"):
            rows.append({
                "images": f"{name}, {shape}", "features": features, "n": f"{row['n']:,}",
                "convention": row["convention"], "what it does": row["what"],
                "distance": f"{row['distance']:.5g}", "ratio to ours": f"{row['ratio']:.4f}",
            })  # fmt: skip
        raw.append({
            "name": name, "features": features, "shape": shape,
            "checksum": table.attrs["provenance"]["checksum"],
            "images": {"name": scored.images.name, "fingerprint": scored.images.fingerprint},
            "against": {"name": scored.real.name, "fingerprint": scored.real.fingerprint},
            "rows": table.to_dict("records"), "seconds": time.perf_counter() - start,
        })  # fmt: skip
        print(table.to_markdown(index=False), flush=True)
    publish(
        "parity",
        "One Frechet distance by each convention in the wild",
        {"The same images and the same network in every row of a block:": rows},
        options.out,
        options.device,
        pairs=raw,
    )


if __name__ == "__main__":
    main()
