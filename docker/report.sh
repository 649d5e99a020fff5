#!/usr/bin/env bash
# Prints the size and the number of packages of each image: docker/report.sh TAG IMAGE...
set -euo pipefail
tag=$1
shift
printf '%-24s %10s %10s\n' image 'size (MB)' packages
for image in "$@"; do
  size=$(docker image inspect --format '{{.Size}}' "switchyard/$image:$tag")
  # Counted by the image's own Python, without a network and as the user of the service.
  packages=$(docker run --rm --network none --read-only "switchyard/$image:$tag" \
    python -c 'from importlib.metadata import distributions; print(len(list(distributions())))')
  printf '%-24s %10d %10d\n' "switchyard/$image" $((size / 1000000)) "$packages"
done
