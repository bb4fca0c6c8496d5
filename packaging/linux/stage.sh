# Linux: one build, one tree, three packages of it. Read by packaging/build.

linux_target() { rustc -vV | sed -n 's/^host: //p'; }

# Builds the program and lays out what every package holds, once a run.
linux_stage() {
    [ -z "${linux_staged:-}" ] || return 0
    need rsvg-convert librsvg2-bin
    need objcopy binutils
    local triple built stage share
    triple=$(linux_target)
    say "program for $triple"
    CARGO_ENCODED_RUSTFLAGS=$(rust_flags rustc) cargo build --locked --profile "$profile" --target "$triple" --bin coldbench
    built=$target/$triple/$profile
    stage=$built/stage
    share=$stage/usr/share
    rm -rf "$stage"
    part_symbols "$built/coldbench" "$stage/usr/bin/coldbench" "$built/symbols/coldbench.debug"

    # Pages and completions come from the program itself; the folders it needs for nothing else are thrown away.
    HOME=$stage/home "$stage/usr/bin/coldbench" manual "$share"
    gzip -9n "$share"/man/man1/*.1
    rm -rf "$stage/home"

    install -Dm644 packaging/linux/coldbench.desktop -t "$share/applications"
    mkdir -p "$share/metainfo"
    sed "s/@VERSION@/$version/; s/@DATE@/$(date -d "@$SOURCE_DATE_EPOCH" +%F)/" \
        packaging/linux/io.github.coldbench.coldbench.metainfo.xml >"$share/metainfo/io.github.coldbench.coldbench.metainfo.xml"
    packaging/icons "$built/icons"
    local side
    for side in 16 24 32 48 64 128 256 512; do
        install -Dm644 "$built/icons/coldbench-$side.png" "$share/icons/hicolor/${side}x$side/apps/coldbench.png"
    done
    install -Dm644 assets/app/coldbench.svg -t "$share/icons/hicolor/scalable/apps"
    install -Dm644 packaging/linux/70-coldbench.rules -t "$stage/usr/lib/udev/rules.d"
    install -Dm644 assets/firmware/* -t "$share/coldbench/firmware"
    install -Dm644 assets/cloud/* -t "$share/coldbench/cloud"

    mkdir -p "$share/doc/coldbench" "$stage/deb/doc"
    gzip -9nc "$licences" >"$share/doc/coldbench/third-party-licences.txt.gz"
    gzip -9nc packaging/CHANGELOG.md >"$stage/deb/doc/changelog.gz"
    debian_changelog | gzip -9n >"$stage/deb/doc/changelog.Debian.gz"
    debian_copyright >"$stage/deb/copyright"
    fix_times "$stage"
    linux_staged=$stage
}

debian_changelog() {
    printf 'coldbench (%s-1) unstable; urgency=medium\n\n  * Package of version %s; see changelog.gz.\n\n' "$version" "$version"
    printf ' -- The Coldbench authors <coldbench@users.noreply.github.com>  %s\n' "$(date -R -d "@$SOURCE_DATE_EPOCH")"
}

# Licence texts are taken from where they are kept, in the form that Debian wants.
debian_copyright() {
    indented() { sed 's/^$/./; s/^/ /'; }
    local line
    while IFS= read -r line; do
        case $line in
        @MIT@) sed 1,2d LICENSE-MIT | indented ;;
        @OFL@) indented <assets/fonts/LICENSE.txt ;;
        @ISC@) sed 1,2d assets/icons/LICENSE.txt | indented ;;
        *) printf '%s\n' "$line" ;;
        esac
    done <packaging/linux/copyright
}

# What the debugger needs, for whoever reads a crash report.
linux_symbols() {
    local triple
    triple=$(linux_target)
    mkdir -p "$out"
    gzip -9nc "$target/$triple/$profile/symbols/coldbench.debug" >"$out/coldbench-$version-$triple.debug.gz"
}

deb() {
    need dpkg-deb dpkg
    need dpkg-shlibdeps dpkg-dev
    tool cargo-deb 3.8.0
    linux_stage
    say "deb"
    mkdir -p "$out"
    cargo deb --no-build --no-strip --locked --profile "$profile" --target "$(linux_target)" --output "$out/"
    linux_symbols
}

rpm() {
    tool cargo-generate-rpm 0.21.1
    linux_stage
    say "rpm"
    mkdir -p "$out"
    cargo generate-rpm --profile "$profile" --target "$(linux_target)" --target-dir "$target" --source-date "$SOURCE_DATE_EPOCH" --output "$out/"
    linux_symbols
}

archive() {
    linux_stage
    local name folder
    name=coldbench-$version-$(linux_target)
    folder=$target/$(linux_target)/$profile/archive
    say "archive"
    rm -rf "$folder"
    mkdir -p "$folder/$name" "$out"
    cp -a "$linux_staged/usr/." "$folder/$name/"
    cp packaging/linux/README.archive.txt "$folder/$name/README.txt"
    cp LICENSE-MIT LICENSE-APACHE "$folder/$name/"
    fix_times "$folder"
    tar --create --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r,go-w \
        --mtime="@$SOURCE_DATE_EPOCH" --directory "$folder" "$name" | xz -6 -T1 >"$out/$name.tar.xz"
}
