# macOS: an application and a disk image, on a Mac; elsewhere a type check only. Read by packaging/build.

# Lays out Coldbench.app: macos_app PROGRAM FOLDER ICONS. Works everywhere, so that the layout is tested on Linux.
macos_app() {
    local app=$2/Coldbench.app
    rm -rf "$app"
    mkdir -p "$app/Contents/MacOS" "$app/Contents/Resources"
    cp "$1" "$app/Contents/MacOS/coldbench"
    sed "s/@VERSION@/$version/" packaging/macos/Info.plist.in >"$app/Contents/Info.plist"
    printf 'APPL????' >"$app/Contents/PkgInfo"
    cp "$3/coldbench.icns" "$app/Contents/Resources/"
    cp "$licences" LICENSE-MIT LICENSE-APACHE "$app/Contents/Resources/"
    cp -R assets/firmware assets/cloud "$app/Contents/Resources/"
}

macos() {
    [ "$(uname)" = Darwin ] || fail "the application is built on a Mac; macos-check type-checks here"
    need rsvg-convert librsvg
    local built=$target/macos architecture
    export MACOSX_DEPLOYMENT_TARGET=12.0
    mkdir -p "$built/symbols" "$out"
    for architecture in aarch64 x86_64; do
        say "program for $architecture"
        CARGO_ENCODED_RUSTFLAGS=$(rust_flags rustc) \
            cargo build --locked --profile dist --target "$architecture-apple-darwin" --bin coldbench
    done
    lipo -create -output "$built/coldbench" "$target"/{aarch64,x86_64}-apple-darwin/dist/coldbench
    dsymutil "$built/coldbench" -o "$built/symbols/coldbench.dSYM"
    strip -x "$built/coldbench"
    packaging/icons "$built/icons"
    macos_app "$built/coldbench" "$built" "$built/icons"
    if [ -n "${SIGN_IDENTITY:-}" ]; then
        packaging/macos/notarise "$built/Coldbench.app" "$out/coldbench-$version-macos.dmg"
    else
        # Runs on this Mac; others are warned until it is signed.
        codesign --force --sign - "$built/Coldbench.app"
        packaging/macos/dmg "$built/Coldbench.app" "$out/coldbench-$version-macos.dmg"
    fi
    tar -C "$built/symbols" -czf "$out/coldbench-$version-macos.dSYM.tar.gz" coldbench.dSYM
}

# Type-checks the program for the Mac: the standard library from its sources, C parts against the headers that come with
# Zig (PyPI: ziglang). Nothing is linked and nothing is run.
macos_check() (
    local triple=aarch64-apple-darwin venv=$target/ci-tools/zig
    [ -x /usr/bin/rustc ] && [ -f "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ] ||
        fail "the standard library's sources are missing; on Debian: apt-get install --no-install-recommends rustc-web rust-web-src"
    if ! [ -x "$venv/cc" ]; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check ziglang==0.15.2
        # cc names the target in its own words, which Zig does not know.
        cat >"$venv/cc" <<END
#!/usr/bin/env bash
kept=()
for argument; do
    case \$argument in --target=* | -mmacosx-version-min=* | -arch | arm64) ;; *) kept+=("\$argument") ;; esac
done
exec "$venv/bin/python" -m ziglang cc -target aarch64-macos "\${kept[@]}"
END
        printf '#!/bin/sh\nexec "%s/bin/python" -m ziglang ar "$@"\n' "$venv" >"$venv/ar"
        chmod +x "$venv/cc" "$venv/ar"
    fi
    say "type check for $triple"
    RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CC_aarch64_apple_darwin=$venv/cc AR_aarch64_apple_darwin=$venv/ar \
        CRATE_CC_NO_DEFAULTS=1 cargo check --locked -Zbuild-std=std,panic_abort --target "$triple" --bin coldbench
)
