#!/bin/sh
# Fetches, verifies and prepares the models that an image gets, into /models.
#
#   preload.sh none|whisper|lid|all cpu|cuda
#
# WHISPER_MODEL_NAME, LID_MODEL_ID and the rest of the configuration come from the environment.
set -eu

mkdir -p /models
chmod 1777 /models
export MODEL_CACHE_DIR=/models

case $1 in
  none) exit 0 ;;
  whisper) models=$WHISPER_MODEL_NAME ;;
  lid) models=$LID_MODEL_ID ;;
  all) models="$WHISPER_MODEL_NAME $LID_MODEL_ID" ;;
  *)
    echo "PRELOAD_MODELS is \`$1\`; it takes \`none\`, \`whisper\`, \`lid\` or \`all\`" >&2
    exit 2
    ;;
esac
case $2 in
  # Weights in the format that workers compute in. On a GPU that is what models are published in.
  cpu) speech-flow preload "--$1" --prepare ;;
  cuda) speech-flow preload "--$1" ;;
esac
# shellcheck disable=SC2086 # names of models have no spaces
HF_HUB_OFFLINE=1 speech-flow verify $models
# Whoever runs the image can read all of it.
chmod -R a+rX /models
