#!/usr/bin/env bash
# Build, push, sign every image and print what the tfvars take: docker/release.sh REGISTRY REVISION ARCHITECTURE [IMAGE...]
#
# REGISTRY is the account's (ACCOUNT.dkr.ecr.REGION.amazonaws.com/switchyard), logged in to; ARCHITECTURE is terraform's.
# Each image has an SBOM (SPDX) and its provenance attached, and is signed with the account's key alias/switchyard-images.
set -euo pipefail
registry=$1 revision=$2 architecture=$3
shift 3
case $architecture in
  ARM64) platform=linux/arm64 ;;
  X86_64) platform=linux/amd64 ;;
  *) echo "$architecture is no architecture of Fargate. Remedy: X86_64 or ARM64, as in the tfvars" >&2; exit 2 ;;
esac
if [[ -n ${GITHUB_STEP_SUMMARY:-} ]]; then exec > >(tee -a "$GITHUB_STEP_SUMMARY"); fi
base=${PYTHON_IMAGE:-python:3.13-slim-trixie}
digest=$(docker buildx imagetools inspect "$base" --format '{{.Manifest.Digest}}')
echo "# Base image: $base@$digest"
echo "code_version = \"$revision\""
echo "images = {"
for image in "$@"; do
  target=()
  if [[ $image == cli ]]; then target=(--target cli); fi
  docker buildx build --quiet --platform "$platform" --push --sbom=true --provenance=mode=max \
    "${target[@]}" --build-arg "SERVICE=$image" --build-arg "REVISION=$revision" \
    --build-arg "PYTHON_IMAGE=${base%%:*}@$digest" --metadata-file "dist/$image.json" \
    --tag "$registry/$image:$revision" . >/dev/null
  pushed=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["containerimage.digest"])' "dist/$image.json")
  cosign sign --yes --tlog-upload=false --key awskms:///alias/switchyard-images "$registry/$image@$pushed" >&2
  echo "  \"$image\" = \"$pushed\""
done
echo "}"
