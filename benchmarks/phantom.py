"""How fast phantom faces are drawn: python benchmarks/phantom.py, one JSON line a size.

Drawing uses one core, and that core's own time is counted, so that other work on the machine
costs little. A case draws 256 to 4096 pictures, one a person, five times after a warm-up.
"""

import json
import platform
import time

import numpy as np

from fairjax.data import phantom


def main() -> None:
    for size in (32, 64, 112, 224):
        identity = np.arange(max(256, 4096 * 32**2 // size**2))
        who = phantom.people(identity, seed=0)
        speeds = []
        for _ in range(6):
            start = time.process_time()
            phantom.draw(
                identity, 0 * identity, who, seed=0, image_size=size, differential=phantom.NEUTRAL
            )
            speeds.append(len(identity) / (time.process_time() - start))
        low, middle, high = np.percentile(speeds[1:], [0, 50, 100]).round()
        line = {"case": f"phantom {size}", "unit": "images_per_cpu_second"}
        line |= {"min": low, "median": middle, "max": high}
        print(json.dumps(line | {"numpy": np.__version__, "machine": platform.machine()}))


if __name__ == "__main__":
    main()
