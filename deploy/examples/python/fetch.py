"""Makes a model ready in the shared cache from Python, and prints its folder.

    python fetch.py MODEL

speech-flow does the work: verified, locked where there is a lockfile, and once, however many processes ask.
"""

import json
import subprocess
import sys

done = subprocess.run(["speech-flow", "preload", sys.argv[1], "--json"], stdout=subprocess.PIPE)
# What went wrong stands on stderr, with a hint.
if done.returncode != 0:
    sys.exit(done.returncode)
model = json.loads(done.stdout)["models"][0]
print(model["path"])
