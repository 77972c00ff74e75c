#!/bin/sh
# Installs the service, from uv.lock and without anything of development, as a virtual environment.
# Usage: install.sh SOURCE TARGET UV
set -eu
source=$1 target=$2 uv=$3
UV_PROJECT_ENVIRONMENT=$target "$uv" sync --project "$source" --quiet --locked --no-dev --no-editable --extra cloudfront
