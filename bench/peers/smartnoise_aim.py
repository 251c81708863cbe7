"""AIM of smartnoise-synth 1.0.8, run in an environment of its own: python smartnoise_aim.py TRAIN OUT EPSILON DELTA.

Numbers with more than 20 values are cut into 20 bins of equal width over their range, as its users do beforehand. That
reads the range off the rows, which no epsilon covers: an advantage we do not take for ourselves.
"""

import sys

import numpy as np
import pandas as pd
from snsynth import Synthesizer

BINS = 20


def main() -> None:
    """Fit and write as many rows as were given."""
    train, out, epsilon, delta = sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])
    table = pd.read_csv(train, skipinitialspace=True, keep_default_na=False)
    middles = {}
    for name in table.columns:
        if table[name].dtype.kind in "if" and table[name].nunique() > BINS:
            edges = np.linspace(table[name].min(), table[name].max(), BINS + 1)
            middles[name] = (edges[:-1] + edges[1:]) / 2
            table[name] = np.clip(np.digitize(table[name], edges[1:-1]), 0, BINS - 1)
    columns = list(table.columns)
    synthesizer = Synthesizer.create("aim", epsilon=epsilon, delta=delta)
    synthesizer.fit(table, categorical_columns=columns, preprocessor_eps=0.0)
    drawn = synthesizer.sample(len(table))
    for name, middle in middles.items():
        drawn[name] = middle[drawn[name].astype(int)]
    drawn.to_csv(out, index=False)


if __name__ == "__main__":
    main()
